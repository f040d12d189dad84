// One verb of python -m ci.compat, with the verb and what it is about as JSON on standard input. The
// answer is JSON on standard output; messages travel as base64.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;
use std::io::stdin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::prelude::{Engine, BASE64_STANDARD};
use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use serde::Deserialize;
use serde_json::{json, Value};

type Answer = Result<Value, Box<dyn Error>>;

const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Door {
    address: String,
    encrypted: bool,
    authority: String,
    mechanism: Option<String>,
    user: String,
    password: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Request {
    verb: String,
    door: Option<Door>,
    topic: String,
    messages: Vec<String>,
    codec: String,
    idempotent: bool,
    count: usize,
    group: Option<String>,
    protocol: String,
    partitions: usize,
    settings: BTreeMap<String, String>,
    name: String,
    value: String,
}

fn config(door: &Door) -> ClientConfig {
    let mut config = ClientConfig::new();
    let security = match (&door.mechanism, door.encrypted) {
        (None, false) => "PLAINTEXT",
        (None, true) => "SSL",
        (Some(_), false) => "SASL_PLAINTEXT",
        (Some(_), true) => "SASL_SSL",
    };
    config.set("bootstrap.servers", &door.address).set("security.protocol", security);
    if door.encrypted {
        config.set("ssl.ca.location", &door.authority);
    }
    if let Some(mechanism) = &door.mechanism {
        config.set("sasl.mechanism", mechanism);
        config.set("sasl.username", &door.user).set("sasl.password", &door.password);
    }
    config
}

/// Counts what the broker has acknowledged.
#[derive(Default)]
struct Acknowledged(AtomicUsize);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        match result {
            Ok(_) => _ = self.0.fetch_add(1, Ordering::SeqCst),
            Err((error, _)) => eprintln!("{error}"),
        }
    }
}

fn produce(mut config: ClientConfig, asked: &Request) -> Answer {
    config.set("compression.type", &asked.codec).set("enable.idempotence", asked.idempotent.to_string());
    let producer: BaseProducer<Acknowledged> = config.create_with_context(Acknowledged::default())?;
    for message in &asked.messages {
        let value = BASE64_STANDARD.decode(message)?;
        let record = BaseRecord::<(), _>::to(&asked.topic).partition(0).payload(&value);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(TIMEOUT)?;
    let acknowledged = producer.context().0.load(Ordering::SeqCst);
    if acknowledged != asked.messages.len() {
        return Err(format!("{acknowledged} of {} were acknowledged", asked.messages.len()).into());
    }
    Ok(Value::Null)
}

fn consume(mut config: ClientConfig, asked: &Request) -> Answer {
    config.set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    config.set("group.id", asked.group.as_deref().unwrap_or("alone"));
    let consumer: BaseConsumer = config.create()?;
    if asked.group.is_some() {
        consumer.subscribe(&[&asked.topic])?;
    } else {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(&asked.topic, 0, Offset::Beginning)?;
        consumer.assign(&partitions)?;
    }
    let mut received = Vec::new();
    while received.len() < asked.count {
        let Some(message) = consumer.poll(TIMEOUT) else { continue }; // an event can end it early, too
        let message = message?;
        received.push(BASE64_STANDARD.encode(message.payload().unwrap_or_default()));
        if received.len() == asked.count && asked.group.is_some() {
            consumer.commit_message(&message, CommitMode::Sync)?;
        }
    }
    Ok(json!(received))
}

/// Says how many partitions this member has now.
struct Owner;

impl ClientContext for Owner {}

impl ConsumerContext for Owner {
    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        let owned = consumer.assignment().expect("what is assigned").count();
        println!("{}", json!({"assigned": (0..owned).collect::<Vec<_>>()}));
    }
}

fn member(mut config: ClientConfig, asked: &Request) -> Answer {
    config.set("group.id", asked.group.as_deref().ok_or("which group?")?).set("group.protocol", &asked.protocol);
    if asked.protocol == "classic" {
        config.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "500");
    }
    let consumer: BaseConsumer<Owner> = config.create_with_context(Owner)?;
    consumer.subscribe(&[&asked.topic])?;
    loop {
        if let Some(message) = consumer.poll(TIMEOUT) {
            message?;
        }
    }
}

/// The only answer there is, of those to a list of things asked for.
fn only<T, E: Debug>(answers: Vec<Result<T, E>>) -> Result<T, Box<dyn Error>> {
    let answer = answers.into_iter().next().ok_or("no answer")?;
    answer.map_err(|error| format!("{error:?}").into())
}

fn administer(config: ClientConfig, asked: &Request) -> Answer {
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let (options, topic) = (AdminOptions::new(), asked.topic.as_str());
    match asked.verb.as_str() {
        "create" => {
            let mut wanted = NewTopic::new(topic, asked.partitions as i32, TopicReplication::Fixed(1));
            for (name, value) in &asked.settings {
                wanted = wanted.set(name, value);
            }
            only(block_on(admin.create_topics([&wanted], &options))?)?;
        }
        "setting" => {
            let described = only(block_on(admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options))?)?;
            return Ok(json!(described.get(&asked.name).and_then(|entry| entry.value.as_ref())));
        }
        "change" => {
            let wanted = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(&asked.name, &asked.value);
            only(block_on(admin.alter_configs([&wanted], &options))?)?;
        }
        "extend" => {
            let wanted = NewPartitions::new(topic, asked.partitions);
            only(block_on(admin.create_partitions([&wanted], &options))?)?;
        }
        "partitions" => {
            let found = admin.inner().fetch_metadata(Some(topic), TIMEOUT)?;
            return Ok(json!(found.topics()[0].partitions().len()));
        }
        "remove" => _ = only(block_on(admin.delete_topics(&[topic], &options))?)?,
        "topics" => {
            let found = admin.inner().fetch_metadata(None, TIMEOUT)?;
            return Ok(json!(found.topics().iter().map(|each| each.name()).collect::<Vec<_>>()));
        }
        other => return Err(format!("what is {other}?").into()),
    }
    Ok(Value::Null)
}

fn main() -> Result<(), Box<dyn Error>> {
    let asked: Request = serde_json::from_reader(stdin())?;
    let config = config(asked.door.as_ref().ok_or("which door?")?);
    let answer = match asked.verb.as_str() {
        "produce" => produce(config, &asked)?,
        "consume" => consume(config, &asked)?,
        "member" => member(config, &asked)?,
        _ => administer(config, &asked)?,
    };
    println!("{answer}");
    Ok(())
}
