package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

var kafkaGoCodecs = map[string]kafka.Compression{
	"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

func kafkaGoMechanism(d door) sasl.Mechanism {
	algorithms := map[string]scram.Algorithm{"SCRAM-SHA-256": scram.SHA256, "SCRAM-SHA-512": scram.SHA512}
	if algorithm, is := algorithms[d.Mechanism]; is {
		mechanism, err := scram.Mechanism(algorithm, d.User, d.Password)
		must(err)
		return mechanism
	}
	if d.Mechanism == "PLAIN" {
		return plain.Mechanism{Username: d.User, Password: d.Password}
	}
	return nil
}

func kafkaGo(r request) (any, error) {
	ctx := context.Background()
	mechanism, tlsConfig := kafkaGoMechanism(r.Door), r.Door.tlsConfig()
	transport := &kafka.Transport{TLS: tlsConfig, SASL: mechanism}
	dialer := &kafka.Dialer{Timeout: 10 * time.Second, TLS: tlsConfig, SASLMechanism: mechanism}
	switch r.Verb {
	case "produce":
		if r.Idempotent {
			return notOffered, nil
		}
		writer := &kafka.Writer{Addr: kafka.TCP(r.Door.Address), Topic: r.Topic, RequiredAcks: kafka.RequireAll,
			Compression: kafkaGoCodecs[r.Codec], AllowAutoTopicCreation: true, BatchSize: 500,
			BatchTimeout: 10 * time.Millisecond, Transport: transport, Balancer: kafka.BalancerFunc(firstPartition)}
		messages := make([]kafka.Message, len(r.Messages))
		for i, value := range r.Messages {
			messages[i] = kafka.Message{Value: value}
		}
		defer writer.Close()
		err := writer.WriteMessages(ctx, messages...)
		for errors.Is(err, kafka.UnknownTopicOrPartition) { // it is being made
			err = writer.WriteMessages(ctx, messages...)
		}
		return nil, err
	case "consume":
		return kafkaGoConsume(ctx, r, dialer)
	case "member":
		return nil, kafkaGoMember(ctx, r, dialer)
	}
	return kafkaGoAdmin(ctx, &kafka.Client{Addr: kafka.TCP(r.Door.Address), Transport: transport}, r)
}

func firstPartition(_ kafka.Message, partitions ...int) int { return partitions[0] }

func kafkaGoConsume(ctx context.Context, r request, dialer *kafka.Dialer) (any, error) {
	config := kafka.ReaderConfig{Brokers: []string{r.Door.Address}, Topic: r.Topic, Dialer: dialer,
		MaxWait: 100 * time.Millisecond, StartOffset: kafka.FirstOffset}
	if r.Group != nil {
		config.GroupID = *r.Group
	}
	reader := kafka.NewReader(config)
	defer reader.Close()
	var values [][]byte
	for len(values) < r.Count {
		message, err := reader.FetchMessage(ctx)
		if err != nil {
			return nil, err
		}
		values = append(values, message.Value)
		if len(values) == r.Count && r.Group != nil {
			return values, reader.CommitMessages(ctx, message)
		}
	}
	return values, nil
}

func kafkaGoMember(ctx context.Context, r request, dialer *kafka.Dialer) error {
	name := make([]byte, 4)
	rand.Read(name)
	dialer.ClientID = hex.EncodeToString(name)
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{ID: *r.Group, Brokers: []string{r.Door.Address},
		Topics: []string{r.Topic}, Dialer: dialer, SessionTimeout: 6 * time.Second, HeartbeatInterval: 500 * time.Millisecond})
	if err != nil {
		return err
	}
	for {
		generation, err := group.Next(ctx)
		if err != nil {
			continue // a rebalance; the next generation comes
		}
		owns(len(generation.Assignments[r.Topic]))
	}
}

func kafkaGoAdmin(ctx context.Context, client *kafka.Client, r request) (any, error) {
	resource := kafka.ResourceTypeTopic
	switch r.Verb {
	case "create":
		topic := kafka.TopicConfig{Topic: r.Topic, NumPartitions: r.Partitions, ReplicationFactor: 1}
		for name, value := range r.Settings {
			topic.ConfigEntries = append(topic.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
		}
		answer, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
		if err == nil {
			err = answer.Errors[r.Topic]
		}
		return nil, err
	case "setting":
		answer, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
			{ResourceType: resource, ResourceName: r.Topic, ConfigNames: []string{r.Name}}}})
		if err != nil {
			return nil, err
		}
		return answer.Resources[0].ConfigEntries[0].ConfigValue, nil
	case "change":
		answer, err := client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: resource, ResourceName: r.Topic,
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: r.Name, Value: r.Value, ConfigOperation: kafka.ConfigOperationSet}}}}})
		if err == nil {
			err = answer.Resources[0].Error
		}
		return nil, err
	case "extend":
		answer, err := client.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
			Topics: []kafka.TopicPartitionsConfig{{Name: r.Topic, Count: int32(r.Partitions)}}})
		if err == nil {
			err = answer.Errors[r.Topic]
		}
		return nil, err
	case "remove":
		answer, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{r.Topic}})
		if err == nil {
			err = answer.Errors[r.Topic]
		}
		return nil, err
	}
	answer, err := client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, topic := range answer.Topics {
		if r.Verb == "partitions" && topic.Name == r.Topic {
			return len(topic.Partitions), nil
		}
		names = append(names, topic.Name)
	}
	return names, nil
}
