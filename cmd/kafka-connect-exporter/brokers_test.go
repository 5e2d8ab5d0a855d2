package main

import (
	"context"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/kafka/kafkatest"
)

// startBrokers sets BROKERS to the addresses of Kafka brokers with the topics of a
// Connect cluster, where user scout, with the password s3cret, may read all but
// the topics that are named.
func startBrokers(ts *testscript.TestScript, _ bool, withheld []string) {
	acl := func(resource kmsg.ACLResourceType, name string, pattern kmsg.ACLResourcePatternType, operation kmsg.ACLOperation, allow bool) kfake.ACL {
		return kfake.ACL{Resource: resource, Name: name, Pattern: pattern, Operation: operation, Allow: allow}
	}
	rights := []kfake.ACL{
		acl(kmsg.ACLResourceTypeTopic, "orders-", kmsg.ACLResourcePatternTypePrefixed, kmsg.ACLOperationRead, true),
		acl(kmsg.ACLResourceTypeGroup, "connect-", kmsg.ACLResourcePatternTypePrefixed, kmsg.ACLOperationDescribe, true),
	}
	for _, topic := range withheld {
		rights = append(rights, acl(kmsg.ACLResourceTypeTopic, topic, kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLOperationAll, false))
	}
	brokers, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(5, kafkatest.StatusTopic), kfake.SeedTopics(5, kafkatest.OffsetsTopic),
		kfake.EnableSASL(), kfake.EnableACLs(), kfake.User("SCRAM-SHA-512", "scout", "s3cret", rights...),
		kfake.User("SCRAM-SHA-512", "worker", "w0rker", acl(kmsg.ACLResourceTypeTopic, kafkatest.StatusTopic, kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLOperationAll, true)))
	ts.Check(err)
	ts.Defer(brokers.Close)
	worker, err := kgo.NewClient(kgo.SeedBrokers(brokers.ListenAddrs()...), kgo.DisableIdempotentWrite(),
		kgo.SASL(scram.Auth{User: "worker", Pass: "w0rker"}.AsSha512Mechanism()))
	ts.Check(err)
	defer worker.Close()
	status := kafkatest.Status{Connector: "source", Task: -1, State: "RUNNING", Worker: "10.0.0.1:8083"}
	ts.Check(worker.ProduceSync(context.Background(), status.Record()).FirstErr())
	group := kmsg.NewDescribeGroupsResponseGroup()
	group.Group, group.State, group.ProtocolType = kafkatest.Group, "Stable", "connect"
	group.Members = []kmsg.DescribeGroupsResponseGroupMember{{MemberID: "a", ClientID: "connect-10.0.0.1:8083"}}
	brokers.ControlKey(int16(kmsg.DescribeGroups), func(request kmsg.Request) (kmsg.Response, error, bool) {
		brokers.KeepControl()
		response := request.ResponseKind().(*kmsg.DescribeGroupsResponse)
		response.Groups = []kmsg.DescribeGroupsResponseGroup{group}
		return response, nil, true
	})
	ts.Setenv("BROKERS", strings.Join(brokers.ListenAddrs(), ","))
}
