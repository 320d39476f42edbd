// Jaeger's version, for `make collector`. A module of our own, because Jaeger replaces one of its requirements, which Go
// accepts of the main module only. cmd/jaeger of v1.76 is Jaeger 2; later tags carry a major version that its module path
// lacks. Its user interface is not part of the module: the query API is all that is served.
module example.invalid/tracetoll/jaeger

go 1.25

require github.com/jaegertracing/jaeger v1.76.0

replace github.com/Shopify/sarama => github.com/Shopify/sarama v1.33.0
