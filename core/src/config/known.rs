//! The names that Kafka knows and the simulation has no use for.
//!
//! They are accepted, so that real files can be used as they are, and each is listed with the reason why it changes
//! nothing.
//!
//! Kafka: the `ConfigDef`s of 2.2 and 3.9.

/// Names that have no effect for the same reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoEffect {
    /// The reason.
    pub why: &'static str,
    /// The names, with blanks in between.
    names: &'static str,
}

impl NoEffect {
    /// Whether a name is among them.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.names.split_ascii_whitespace()
    }
}

/// Names that a `server.properties` may have and that change nothing here.
pub(super) const BROKER: &[NoEffect] = &[
    NoEffect {
        why: "security: nobody is refused for who they are",
        names: "authorizer.class.name connection.failed.authentication.delay.ms connections.max.reauth.ms \
            delegation.token.expiry.check.interval.ms delegation.token.expiry.time.ms \
            delegation.token.master.key delegation.token.max.lifetime.ms delegation.token.secret.key \
            password.encoder.cipher.algorithm password.encoder.iterations password.encoder.key.length \
            password.encoder.keyfactory.algorithm password.encoder.old.secret password.encoder.secret \
            principal.builder.class sasl.client.callback.handler.class sasl.enabled.mechanisms \
            sasl.jaas.config sasl.kerberos.kinit.cmd sasl.kerberos.min.time.before.relogin \
            sasl.kerberos.principal.to.local.rules sasl.kerberos.service.name \
            sasl.kerberos.ticket.renew.jitter sasl.kerberos.ticket.renew.window.factor \
            sasl.login.callback.handler.class sasl.login.class sasl.login.connect.timeout.ms \
            sasl.login.read.timeout.ms sasl.login.refresh.buffer.seconds \
            sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor \
            sasl.login.refresh.window.jitter sasl.login.retry.backoff.max.ms sasl.login.retry.backoff.ms \
            sasl.mechanism.controller.protocol sasl.mechanism.inter.broker.protocol \
            sasl.oauthbearer.clock.skew.seconds sasl.oauthbearer.expected.audience \
            sasl.oauthbearer.expected.issuer sasl.oauthbearer.jwks.endpoint.refresh.ms \
            sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms \
            sasl.oauthbearer.jwks.endpoint.retry.backoff.ms sasl.oauthbearer.jwks.endpoint.url \
            sasl.oauthbearer.scope.claim.name sasl.oauthbearer.sub.claim.name \
            sasl.oauthbearer.token.endpoint.url sasl.server.callback.handler.class \
            sasl.server.max.receive.size security.inter.broker.protocol security.providers \
            ssl.allow.dn.changes ssl.allow.san.changes ssl.cipher.suites ssl.client.auth \
            ssl.enabled.protocols ssl.endpoint.identification.algorithm ssl.engine.factory.class \
            ssl.key.password ssl.keymanager.algorithm ssl.keystore.certificate.chain ssl.keystore.key \
            ssl.keystore.location ssl.keystore.password ssl.keystore.type ssl.principal.mapping.rules \
            ssl.protocol ssl.provider ssl.secure.random.implementation ssl.trustmanager.algorithm \
            ssl.truststore.certificates ssl.truststore.location ssl.truststore.password \
            ssl.truststore.type",
    },
    NoEffect {
        why: "metrics: a run is judged by its facts",
        names: "auto.include.jmx.reporter kafka.metrics.polling.interval.secs kafka.metrics.reporters \
            metric.reporters metrics.num.samples metrics.recording.level metrics.sample.window.ms \
            telemetry.max.bytes",
    },
    NoEffect {
        why: "remote storage is not modelled",
        names: "log.local.retention.bytes log.local.retention.ms remote.fetch.max.wait.ms \
            remote.log.index.file.cache.total.size.bytes remote.log.manager.copier.thread.pool.size \
            remote.log.manager.copy.max.bytes.per.second remote.log.manager.copy.quota.window.num \
            remote.log.manager.copy.quota.window.size.seconds \
            remote.log.manager.expiration.thread.pool.size remote.log.manager.fetch.max.bytes.per.second \
            remote.log.manager.fetch.quota.window.num remote.log.manager.fetch.quota.window.size.seconds \
            remote.log.manager.task.interval.ms remote.log.manager.task.retry.backoff.max.ms \
            remote.log.manager.task.retry.backoff.ms remote.log.manager.task.retry.jitter \
            remote.log.manager.thread.pool.size remote.log.metadata.custom.metadata.max.bytes \
            remote.log.metadata.manager.class.name remote.log.metadata.manager.class.path \
            remote.log.metadata.manager.impl.prefix remote.log.metadata.manager.listener.name \
            remote.log.reader.max.pending.tasks remote.log.reader.threads \
            remote.log.storage.manager.class.name remote.log.storage.manager.class.path \
            remote.log.storage.manager.impl.prefix remote.log.storage.system.enable",
    },
    NoEffect {
        why: "groups of any size, and groups that change their protocol only while they are empty; a coordinator has no \
            threads and buffers here",
        names: "group.consumer.max.size group.consumer.migration.policy group.coordinator.append.linger.ms \
            group.coordinator.new.enable group.coordinator.threads group.max.size \
            group.share.enable group.share.max.groups group.share.max.size group.share.persister.class.name \
            share.coordinator.append.linger.ms share.coordinator.load.buffer.size \
            share.coordinator.state.topic.compression.codec share.coordinator.state.topic.segment.bytes \
            share.coordinator.threads offset.metadata.max.bytes \
            offsets.commit.required.acks offsets.load.buffer.size \
            offsets.topic.compression.codec ",
    },
    NoEffect {
        why: "transactions are not modelled yet",
        names: "transaction.abort.timed.out.transaction.cleanup.interval.ms transaction.max.timeout.ms \
            transaction.partition.verification.enable transaction.remove.expired.transaction.cleanup.interval.ms \
            transaction.state.log.load.buffer.size transaction.state.log.min.isr \
            transaction.state.log.num.partitions transaction.state.log.replication.factor \
            transaction.state.log.segment.bytes",
    },
    NoEffect {
        why: "it is set while brokers run: alter-config",
        names: "leader.replication.throttled.rate follower.replication.throttled.rate",
    },
    NoEffect {
        why: "limits have the windows that Kafka has by default; of others than clients and replication there are none",
        names: "alter.log.dirs.replication.quota.window.num \
            alter.log.dirs.replication.quota.window.size.seconds client.quota.callback.class \
            controller.quota.window.num controller.quota.window.size.seconds \
            log.cleaner.io.max.bytes.per.second quota.consumer.default quota.producer.default \
            quota.window.num quota.window.size.seconds replica.alter.log.dirs.io.max.bytes.per.second \
            replication.quota.window.num replication.quota.window.size.seconds",
    },
    NoEffect {
        why: "the cleaner works at once and has all the memory it needs",
        names: "log.cleaner.dedupe.buffer.size log.cleaner.io.buffer.load.factor log.cleaner.io.buffer.size \
            log.cleaner.threads",
    },
    NoEffect {
        why: "the timing of the controller quorum and its snapshots is not configurable here",
        names: "controller.quorum.append.linger.ms controller.quorum.bootstrap.servers \
            controller.quorum.election.backoff.max.ms controller.quorum.election.timeout.ms \
            controller.quorum.fetch.timeout.ms controller.quorum.request.timeout.ms \
            controller.quorum.retry.backoff.ms controller.quorum.voters eligible.leader.replicas.enable \
            initial.broker.registration.timeout.ms metadata.log.dir \
            metadata.log.max.record.bytes.between.snapshots metadata.log.max.snapshot.interval.ms \
            metadata.log.segment.bytes metadata.log.segment.min.bytes metadata.log.segment.ms \
            metadata.max.idle.interval.ms metadata.max.retention.bytes metadata.max.retention.ms \
            server.max.startup.time.ms",
    },
    NoEffect {
        why: "a KRaft controller stands in for ZooKeeper",
        names: "zookeeper.clientCnxnSocket zookeeper.connection.timeout.ms zookeeper.max.in.flight.requests \
            zookeeper.metadata.migration.enable zookeeper.metadata.migration.min.batch.size \
            zookeeper.set.acl zookeeper.ssl.cipher.suites zookeeper.ssl.client.enable \
            zookeeper.ssl.crl.enable zookeeper.ssl.enabled.protocols \
            zookeeper.ssl.endpoint.identification.algorithm zookeeper.ssl.keystore.location \
            zookeeper.ssl.keystore.password zookeeper.ssl.keystore.type zookeeper.ssl.ocsp.enable \
            zookeeper.ssl.protocol zookeeper.ssl.truststore.location zookeeper.ssl.truststore.password \
            zookeeper.ssl.truststore.type zookeeper.sync.time.ms",
    },
    NoEffect {
        why: "addresses: the simulated network connects everyone with everyone",
        names: "advertised.host.name advertised.listeners advertised.port control.plane.listener.name controller.listener.names \
            early.start.listeners host.name inter.broker.listener.name listener.security.protocol.map \
            listeners port",
    },
    NoEffect {
        why: "a broker that cannot tell the controller of a failed directory is not modelled to give up",
        names: "log.dir.failure.timeout.ms",
    },
    NoEffect {
        why: "threads, sockets and buffers: the simulated ones have no limit",
        names: "background.threads delete.records.purgatory.purge.interval.requests \
            fetch.max.bytes fetch.purgatory.purge.interval.requests max.connection.creation.rate \
            max.connections max.connections.per.ip max.connections.per.ip.overrides \
            max.request.partition.size.limit num.network.threads \
            num.recovery.threads.per.data.dir num.replica.alter.log.dirs.threads num.replica.fetchers \
            producer.purgatory.purge.interval.requests queued.max.request.bytes queued.max.requests \
            replica.socket.receive.buffer.bytes socket.connection.setup.timeout.max.ms \
            socket.connection.setup.timeout.ms socket.listen.backlog.size socket.receive.buffer.bytes \
            socket.request.max.bytes socket.send.buffer.bytes",
    },
    NoEffect {
        why: "formats and protocols are those of the chosen Kafka version",
        names: "inter.broker.protocol.version log.message.downconversion.enable log.message.format.version \
            unstable.api.versions.enable unstable.feature.versions.enable",
    },
    NoEffect {
        why: "the controller of KRaft grants a stop as it sees fit (KAFKA-18417), and ZooKeeper's is not modelled",
        names: "controlled.shutdown.max.retries controlled.shutdown.retry.backoff.ms",
    },
    NoEffect {
        why: "not modelled",
        names: "alter.config.policy.class.name broker.id.generation.enable create.topic.policy.class.name \
            log.compression.gzip.level log.compression.lz4.level \
            log.compression.zstd.level log.max.id.map.snapshots log.preallocate \
            request.timeout.ms reserved.broker.max.id",
    },
];

/// Names that a topic may have and that change nothing here.
pub(super) const TOPIC: &[NoEffect] = &[
    NoEffect {
        why: "remote storage is not modelled",
        names: "local.retention.bytes local.retention.ms remote.log.copy.disable remote.log.delete.on.disable \
            remote.storage.enable",
    },
    NoEffect {
        why: "formats and protocols are those of the chosen Kafka version",
        names: "message.downconversion.enable message.format.version",
    },
    NoEffect {
        why: "not modelled",
        names: "compression.gzip.level compression.lz4.level compression.zstd.level preallocate",
    },
];

/// Names that both clients may have and that change nothing here.
pub(super) const CLIENT: &[NoEffect] = &[
    NoEffect {
        why: "security: nobody is refused for who they are",
        names: "sasl.client.callback.handler.class sasl.jaas.config sasl.kerberos.kinit.cmd \
            sasl.kerberos.min.time.before.relogin sasl.kerberos.service.name \
            sasl.kerberos.ticket.renew.jitter sasl.kerberos.ticket.renew.window.factor \
            sasl.login.callback.handler.class sasl.login.class sasl.login.connect.timeout.ms \
            sasl.login.read.timeout.ms sasl.login.refresh.buffer.seconds \
            sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor \
            sasl.login.refresh.window.jitter sasl.login.retry.backoff.max.ms sasl.login.retry.backoff.ms \
            sasl.mechanism sasl.oauthbearer.clock.skew.seconds sasl.oauthbearer.expected.audience \
            sasl.oauthbearer.expected.issuer sasl.oauthbearer.header.urlencode \
            sasl.oauthbearer.jwks.endpoint.refresh.ms \
            sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms \
            sasl.oauthbearer.jwks.endpoint.retry.backoff.ms sasl.oauthbearer.jwks.endpoint.url \
            sasl.oauthbearer.scope.claim.name sasl.oauthbearer.sub.claim.name \
            sasl.oauthbearer.token.endpoint.url security.protocol security.providers ssl.cipher.suites \
            ssl.enabled.protocols ssl.endpoint.identification.algorithm ssl.engine.factory.class \
            ssl.key.password ssl.keymanager.algorithm ssl.keystore.certificate.chain ssl.keystore.key \
            ssl.keystore.location ssl.keystore.password ssl.keystore.type ssl.protocol ssl.provider \
            ssl.secure.random.implementation ssl.trustmanager.algorithm ssl.truststore.certificates \
            ssl.truststore.location ssl.truststore.password ssl.truststore.type",
    },
    NoEffect {
        why: "metrics: a run is judged by its facts",
        names: "auto.include.jmx.reporter enable.metrics.push metric.reporters metrics.num.samples \
            metrics.recording.level metrics.sample.window.ms",
    },
    NoEffect {
        why: "addresses: the simulated network connects everyone with everyone",
        names: "bootstrap.servers client.dns.lookup",
    },
    NoEffect { why: "own classes cannot run here", names: "interceptor.classes" },
    NoEffect {
        why: "threads, sockets and buffers: the simulated ones have no limit",
        names: "receive.buffer.bytes send.buffer.bytes \
            socket.connection.setup.timeout.max.ms socket.connection.setup.timeout.ms",
    },
];

/// Names that a producer may have and that change nothing here.
pub(super) const PRODUCER: &[NoEffect] = &[
    NoEffect {
        why: "serialisation: keys and values of a scenario are bytes",
        names: "key.serializer value.serializer",
    },
    NoEffect { why: "transactions are not modelled yet", names: "transaction.timeout.ms" },
    NoEffect {
        why: "not modelled",
        names: "compression.gzip.level compression.lz4.level compression.zstd.level metadata.max.idle.ms \
            metadata.recovery.strategy partitioner.adaptive.partitioning.enable \
            partitioner.availability.timeout.ms",
    },
];

/// Names that a consumer may have and that change nothing here.
pub(super) const CONSUMER: &[NoEffect] = &[
    NoEffect {
        why: "deserialisation: keys and values of a scenario are bytes",
        names: "key.deserializer value.deserializer",
    },
    NoEffect { why: "not modelled", names: "exclude.internal.topics internal.leave.group.on.close" },
    NoEffect {
        why: "transactions are not modelled yet",
        names: "internal.throw.on.fetch.stable.offset.unsupported isolation.level",
    },
    NoEffect { why: "not modelled", names: "allow.auto.create.topics metadata.recovery.strategy retry.backoff.max.ms" },
];

/// Names that a Scala producer may have and that change nothing here.
pub(super) const LEGACY_PRODUCER: &[NoEffect] = &[
    NoEffect { why: "addresses: the simulated network connects everyone with everyone", names: "metadata.broker.list" },
    NoEffect {
        why: "serialisation: keys and values of a scenario are bytes",
        names: "serializer.class key.serializer.class",
    },
    NoEffect { why: "own classes cannot run here", names: "partitioner.class" },
    NoEffect { why: "threads, sockets and buffers: the simulated ones have no limit", names: "send.buffer.bytes" },
    NoEffect {
        why: "compression of the old message format is not modelled",
        names: "compression.codec compressed.topics",
    },
];
