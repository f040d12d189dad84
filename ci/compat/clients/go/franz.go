package main

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

var franzCodecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func franzOptions(d door) []kgo.Opt {
	options := []kgo.Opt{kgo.SeedBrokers(d.Address)}
	if config := d.tlsConfig(); config != nil {
		options = append(options, kgo.DialTLSConfig(config))
	}
	switch d.Mechanism {
	case "PLAIN":
		options = append(options, kgo.SASL(plain.Auth{User: d.User, Pass: d.Password}.AsMechanism()))
	case "SCRAM-SHA-256":
		options = append(options, kgo.SASL(scram.Auth{User: d.User, Pass: d.Password}.AsSha256Mechanism()))
	case "SCRAM-SHA-512":
		options = append(options, kgo.SASL(scram.Auth{User: d.User, Pass: d.Password}.AsSha512Mechanism()))
	}
	return options
}

func franz(r request) (any, error) {
	ctx := context.Background()
	options := franzOptions(r.Door)
	switch r.Verb {
	case "produce":
		options = append(options, kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerBatchCompression(franzCodecs[r.Codec]))
		if !r.Idempotent {
			options = append(options, kgo.DisableIdempotentWrite())
		}
	case "consume":
		options = append(options, kgo.ConsumeTopics(r.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if r.Group != nil {
			options = append(options, kgo.ConsumerGroup(*r.Group), kgo.DisableAutoCommit())
		}
	case "member":
		return nil, franzMember(ctx, r, options)
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	switch r.Verb {
	case "produce":
		records := make([]*kgo.Record, len(r.Messages))
		for i, message := range r.Messages {
			records[i] = &kgo.Record{Topic: r.Topic, Value: message}
		}
		return nil, client.ProduceSync(ctx, records...).FirstErr()
	case "consume":
		return franzConsume(ctx, client, r)
	}
	return franzAdmin(ctx, kadm.NewClient(client), r)
}

func franzConsume(ctx context.Context, client *kgo.Client, r request) (any, error) {
	var values [][]byte
	var last *kgo.Record
	for len(values) < r.Count {
		fetches := client.PollRecords(ctx, r.Count-len(values))
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for _, record := range fetches.Records() {
			values, last = append(values, record.Value), record
		}
	}
	if r.Group == nil {
		return values, nil
	}
	return values, client.CommitRecords(ctx, last)
}

func franzMember(ctx context.Context, r request, options []kgo.Opt) error {
	if r.Protocol == "consumer" {
		must(context.Canceled)
	}
	var lock sync.Mutex
	owned := 0
	changes := func(sign int) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			lock.Lock()
			defer lock.Unlock()
			owned += sign * len(partitions[r.Topic])
			owns(owned)
		}
	}
	client, err := kgo.NewClient(append(options, kgo.ConsumerGroup(*r.Group), kgo.ConsumeTopics(r.Topic),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.OnPartitionsAssigned(changes(1)), kgo.OnPartitionsRevoked(changes(-1)), kgo.OnPartitionsLost(changes(-1)))...)
	if err != nil {
		return err
	}
	for {
		client.PollFetches(ctx)
	}
}

func franzAdmin(ctx context.Context, admin *kadm.Client, r request) (any, error) {
	switch r.Verb {
	case "create":
		settings := map[string]*string{}
		for name, value := range r.Settings {
			settings[name] = &value
		}
		_, err := admin.CreateTopic(ctx, int32(r.Partitions), 1, settings, r.Topic)
		return nil, err
	case "setting":
		described, err := admin.DescribeTopicConfigs(ctx, r.Topic)
		if err != nil {
			return nil, err
		}
		for _, config := range described[0].Configs {
			if config.Key == r.Name {
				return config.MaybeValue(), nil
			}
		}
		return nil, nil
	case "change":
		wanted := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: r.Name, Value: &r.Value}}
		answers, err := admin.AlterTopicConfigs(ctx, wanted, r.Topic)
		if err == nil {
			err = answers[0].Err
		}
		return nil, err
	case "extend":
		answers, err := admin.UpdatePartitions(ctx, r.Partitions, r.Topic)
		if err == nil {
			err = answers.Error()
		}
		return nil, err
	case "partitions":
		found, err := admin.ListTopics(ctx, r.Topic)
		return len(found[r.Topic].Partitions), err
	case "remove":
		_, err := admin.DeleteTopic(ctx, r.Topic)
		return nil, err
	}
	found, err := admin.ListTopics(ctx)
	return found.Names(), err
}
