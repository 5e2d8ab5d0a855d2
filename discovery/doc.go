// Package discovery finds Kafka Connect clusters by the resources of the
// operators that run them: Strimzi's, Aiven's, and Confluent for Kubernetes.
//
// A source ([Files], and the Kubernetes API in a package of its own) hands
// resources to a [Registry], reduced at once to an [Object]: what is needed to
// reach the cluster, and what may be shown. A [Plan] makes clusters of them.
// Nothing here asks a Connect cluster, and nothing keeps a secret: only the
// names of Secrets are kept, which are read when they are needed.
package discovery
