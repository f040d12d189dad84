package main

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

var saramaCodecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

// conversation is sarama's idea of a SCRAM client; it brings none of its own.
type conversation struct {
	hash func() hash.Hash
	*scram.ClientConversation
}

func (c *conversation) Begin(user, password, authorization string) error {
	client, err := scram.HashGeneratorFcn(c.hash).NewClient(user, password, authorization)
	if err == nil {
		c.ClientConversation = client.NewConversation()
	}
	return err
}

func saramaConfig(d door) *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	if config.Net.TLS.Config = d.tlsConfig(); config.Net.TLS.Config != nil {
		config.Net.TLS.Enable = true
	}
	hashes := map[string]func() hash.Hash{"SCRAM-SHA-256": sha256.New, "SCRAM-SHA-512": sha512.New}
	if d.Mechanism != "" {
		config.Net.SASL.Enable = true
		config.Net.SASL.Mechanism = sarama.SASLMechanism(d.Mechanism)
		config.Net.SASL.User, config.Net.SASL.Password = d.User, d.Password
		config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{hash: hashes[d.Mechanism]} }
	}
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	return config
}

func saramaClient(r request) (any, error) {
	config, brokers := saramaConfig(r.Door), []string{r.Door.Address}
	switch r.Verb {
	case "produce":
		return nil, saramaProduce(r, config)
	case "consume":
		if r.Group != nil {
			return saramaGroup(r, config)
		}
		return saramaConsume(r, config)
	case "member":
		config.Consumer.Group.Session.Timeout = 6 * time.Second
		config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
		group, err := sarama.NewConsumerGroup(brokers, *r.Group, config)
		for err == nil {
			err = group.Consume(context.Background(), []string{r.Topic}, &saramaMember{topic: r.Topic})
		}
		return nil, err
	}
	admin, err := sarama.NewClusterAdmin(brokers, config)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	return saramaAdmin(admin, r)
}

func saramaProduce(r request, config *sarama.Config) error {
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Compression = saramaCodecs[r.Codec]
	config.Producer.RequiredAcks = sarama.WaitForAll
	if r.Idempotent {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer([]string{r.Door.Address}, config)
	if err != nil {
		return err
	}
	defer producer.Close()
	messages := make([]*sarama.ProducerMessage, len(r.Messages))
	for i, value := range r.Messages {
		messages[i] = &sarama.ProducerMessage{Topic: r.Topic, Value: sarama.ByteEncoder(value)}
	}
	return producer.SendMessages(messages)
}

func saramaConsume(r request, config *sarama.Config) (any, error) {
	consumer, err := sarama.NewConsumer([]string{r.Door.Address}, config)
	if err != nil {
		return nil, err
	}
	partition, err := consumer.ConsumePartition(r.Topic, 0, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	var values [][]byte
	for len(values) < r.Count {
		values = append(values, (<-partition.Messages()).Value)
	}
	return values, nil
}

// saramaMember takes so many messages and commits them, or only says what it owns.
type saramaMember struct {
	topic  string
	count  int
	values [][]byte
}

func (m *saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	if m.count == 0 {
		owns(len(session.Claims()[m.topic]))
	}
	return nil
}

func (m *saramaMember) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		if m.count == 0 {
			continue
		}
		m.values = append(m.values, message.Value)
		if len(m.values) == m.count {
			session.MarkMessage(message, "")
			session.Commit()
			return nil
		}
	}
	return nil
}

func saramaGroup(r request, config *sarama.Config) (any, error) {
	group, err := sarama.NewConsumerGroup([]string{r.Door.Address}, *r.Group, config)
	if err != nil {
		return nil, err
	}
	defer group.Close()
	member := &saramaMember{topic: r.Topic, count: r.Count}
	for err == nil && len(member.values) < r.Count {
		err = group.Consume(context.Background(), []string{r.Topic}, member)
	}
	return member.values, err
}

func saramaAdmin(admin sarama.ClusterAdmin, r request) (any, error) {
	switch r.Verb {
	case "create":
		settings := map[string]*string{}
		for name, value := range r.Settings {
			settings[name] = &value
		}
		return nil, admin.CreateTopic(r.Topic, &sarama.TopicDetail{
			NumPartitions: int32(r.Partitions), ReplicationFactor: 1, ConfigEntries: settings}, false)
	case "setting":
		entries, err := admin.DescribeConfig(sarama.ConfigResource{
			Type: sarama.TopicResource, Name: r.Topic, ConfigNames: []string{r.Name}})
		if err != nil || len(entries) == 0 {
			return nil, err
		}
		return entries[0].Value, nil
	case "change":
		return nil, admin.IncrementalAlterConfig(sarama.TopicResource, r.Topic, map[string]sarama.IncrementalAlterConfigsEntry{
			r.Name: {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &r.Value}}, false)
	case "extend":
		return nil, admin.CreatePartitions(r.Topic, int32(r.Partitions), nil, false)
	case "partitions":
		described, err := admin.DescribeTopics([]string{r.Topic})
		if err != nil {
			return nil, err
		}
		return len(described[0].Partitions), nil
	case "remove":
		return nil, admin.DeleteTopic(r.Topic)
	}
	found, err := admin.ListTopics()
	names := []string{}
	for name := range found {
		names = append(names, name)
	}
	return names, err
}
