"""One file per provider SDK, each a table in the words of `tracetoll.providers.words`."""
