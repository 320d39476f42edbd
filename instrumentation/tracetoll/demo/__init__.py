"""An agent on the real SDKs of OpenAI and Anthropic, for `tracetoll demo`.

A planner calls three tools, asks two sub-agents at a time, has a critic read the draft, and streams its answer.
`tracetoll.demo.app` is written as any application would be: only the decorators and `attribution` are ours.
Needs the `demo` extra.
"""
