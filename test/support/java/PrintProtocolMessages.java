import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.MemoryRecords;

/**
 * Prints requests and responses as Kafka's own classes write them, a JSON object of hexadecimal
 * bodies (without headers), for the codecs' tests. Made once:
 *
 *   PrintProtocolMessages > test/fixtures/protocol/kafka-4.2.0.json
 */
public class PrintProtocolMessages {
  private static final StringBuilder out = new StringBuilder();

  private static void print(String name, Message message, int version) {
    byte[] bytes = MessageUtil.toByteBufferAccessor(message, (short) version).buffer().array();
    out.append(out.isEmpty() ? "{\n" : ",\n");
    out.append("  \"").append(name).append("\": \"").append(HexFormat.of().formatHex(bytes)).append('"');
  }

  private static MemoryRecords records() {
    return MemoryRecords.readableRecords(ByteBuffer.wrap(new byte[] {1, 2, 3, 4, 5}));
  }

  public static void main(String[] args) {
    topics();
    partitions();
    groups();
    groupChanges();
    describedGroups();
    logDirs();
    System.out.println(out + "\n}");
  }

  private static void topics() {
    print("ApiVersions response", new ApiVersionsResponseData().setApiKeys(versions()), 0);
    print("Metadata request", new MetadataRequestData().setAllowAutoTopicCreation(false)
        .setIncludeTopicAuthorizedOperations(true)
        .setTopics(List.of(new MetadataRequestData.MetadataRequestTopic().setName("orders"))), 11);
    print("Metadata request for all",
        new MetadataRequestData().setAllowAutoTopicCreation(false).setTopics(null), 11);
    var topics = new MetadataResponseData.MetadataResponseTopicCollection();
    topics.add(new MetadataResponseData.MetadataResponseTopic().setName("orders")
        .setTopicId(new Uuid(1, 2)).setIsInternal(true).setTopicAuthorizedOperations(1 << 3 | 1 << 11)
        .setPartitions(List.of(new MetadataResponseData.MetadataResponsePartition()
            .setPartitionIndex(5).setErrorCode((short) 9).setLeaderId(2).setLeaderEpoch(7)
            .setReplicaNodes(List.of(1, 2)).setIsrNodes(List.of(2)).setOfflineReplicas(List.of(1)))));
    topics.add(new MetadataResponseData.MetadataResponseTopic().setName("absent").setErrorCode((short) 3));
    var brokers = new MetadataResponseData.MetadataResponseBrokerCollection();
    brokers.add(new MetadataResponseData.MetadataResponseBroker().setNodeId(2).setHost("h").setPort(9092)
        .setRack("r"));
    print("Metadata response", new MetadataResponseData().setThrottleTimeMs(4).setBrokers(brokers)
        .setClusterId("cluster").setControllerId(2).setTopics(topics), 11);
    var wanted = new CreateTopicsRequestData.CreatableTopicCollection();
    var configs = new CreateTopicsRequestData.CreatableTopicConfigCollection();
    configs.add(new CreateTopicsRequestData.CreatableTopicConfig().setName("retention.ms").setValue("-1"));
    wanted.add(new CreateTopicsRequestData.CreatableTopic().setName("orders").setNumPartitions(3)
        .setReplicationFactor((short) 2).setConfigs(configs));
    print("CreateTopics request",
        new CreateTopicsRequestData().setTopics(wanted).setTimeoutMs(30000).setValidateOnly(true), 4);
    var created = new CreateTopicsResponseData.CreatableTopicResultCollection();
    created.add(new CreateTopicsResponseData.CreatableTopicResult().setName("orders")
        .setErrorCode((short) 36).setErrorMessage("exists"));
    print("CreateTopics response", new CreateTopicsResponseData().setThrottleTimeMs(4).setTopics(created), 4);
    print("DescribeConfigs request", new DescribeConfigsRequestData().setResources(List.of(
        new DescribeConfigsRequestData.DescribeConfigsResource().setResourceType((byte) 2)
            .setResourceName("orders").setConfigurationKeys(null))), 2);
    print("DescribeConfigs response", new DescribeConfigsResponseData().setThrottleTimeMs(4)
        .setResults(List.of(new DescribeConfigsResponseData.DescribeConfigsResult().setErrorMessage(null)
            .setResourceType((byte) 2).setResourceName("orders").setConfigs(List.of(
                new DescribeConfigsResponseData.DescribeConfigsResourceResult().setName("retention.ms")
                    .setValue("-1").setConfigSource((byte) 1).setSynonyms(List.of(
                        new DescribeConfigsResponseData.DescribeConfigsSynonym()
                            .setName("log.retention.ms").setValue(null).setSource((byte) 5))),
                new DescribeConfigsResponseData.DescribeConfigsResourceResult().setName("secret")
                    .setValue("s").setConfigSource((byte) 5).setReadOnly(true).setIsSensitive(true))))), 2);
    var changes = new IncrementalAlterConfigsRequestData.AlterableConfigCollection();
    changes.add(new IncrementalAlterConfigsRequestData.AlterableConfig().setName("a").setValue("1"));
    changes.add(new IncrementalAlterConfigsRequestData.AlterableConfig().setName("b")
        .setConfigOperation((byte) 1).setValue(null));
    var resources = new IncrementalAlterConfigsRequestData.AlterConfigsResourceCollection();
    resources.add(new IncrementalAlterConfigsRequestData.AlterConfigsResource().setResourceType((byte) 2)
        .setResourceName("orders").setConfigs(changes));
    print("IncrementalAlterConfigs request",
        new IncrementalAlterConfigsRequestData().setResources(resources).setValidateOnly(true), 0);
    print("IncrementalAlterConfigs response", new IncrementalAlterConfigsResponseData()
        .setThrottleTimeMs(4).setResponses(List.of(
            new IncrementalAlterConfigsResponseData.AlterConfigsResourceResponse().setErrorCode((short) 40)
                .setErrorMessage("bad").setResourceType((byte) 2).setResourceName("orders"))), 0);
  }

  private static ApiVersionsResponseData.ApiVersionCollection versions() {
    var versions = new ApiVersionsResponseData.ApiVersionCollection();
    versions.add(new ApiVersionsResponseData.ApiVersion().setApiKey((short) 1).setMinVersion((short) 4)
        .setMaxVersion((short) 18));
    return versions;
  }

  private static void partitions() {
    print("ListOffsets request", new ListOffsetsRequestData().setReplicaId(-1).setIsolationLevel((byte) 1)
        .setTopics(List.of(new ListOffsetsRequestData.ListOffsetsTopic().setName("orders").setPartitions(
            List.of(new ListOffsetsRequestData.ListOffsetsPartition().setPartitionIndex(5).setTimestamp(-2))))), 4);
    print("ListOffsets response", new ListOffsetsResponseData().setThrottleTimeMs(4).setTopics(List.of(
        new ListOffsetsResponseData.ListOffsetsTopicResponse().setName("orders").setPartitions(List.of(
            new ListOffsetsResponseData.ListOffsetsPartitionResponse().setPartitionIndex(5)
                .setErrorCode((short) 6).setTimestamp(8).setOffset(1L << 40).setLeaderEpoch(7))))), 4);
    var asked = new OffsetForLeaderEpochRequestData.OffsetForLeaderTopicCollection();
    asked.add(new OffsetForLeaderEpochRequestData.OffsetForLeaderTopic().setTopic("orders").setPartitions(
        List.of(new OffsetForLeaderEpochRequestData.OffsetForLeaderPartition().setPartition(5)
            .setCurrentLeaderEpoch(7).setLeaderEpoch(6))));
    print("OffsetForLeaderEpoch request",
        new OffsetForLeaderEpochRequestData().setReplicaId(-1).setTopics(asked), 3);
    var ends = new OffsetForLeaderEpochResponseData.OffsetForLeaderTopicResultCollection();
    ends.add(new OffsetForLeaderEpochResponseData.OffsetForLeaderTopicResult().setTopic("orders")
        .setPartitions(List.of(new OffsetForLeaderEpochResponseData.EpochEndOffset().setPartition(5)
            .setErrorCode((short) 74).setLeaderEpoch(6).setEndOffset(1L << 40))));
    print("OffsetForLeaderEpoch response",
        new OffsetForLeaderEpochResponseData().setThrottleTimeMs(4).setTopics(ends), 3);
    print("Fetch request", new FetchRequestData().setReplicaId(-1).setMaxWaitMs(500).setMinBytes(1)
        .setMaxBytes(1000).setIsolationLevel((byte) 1).setTopics(List.of(
            new FetchRequestData.FetchTopic().setTopic("orders").setPartitions(List.of(
                new FetchRequestData.FetchPartition().setPartition(5).setCurrentLeaderEpoch(7)
                    .setFetchOffset(1L << 40).setPartitionMaxBytes(1000))))), 11);
    print("Fetch response", new FetchResponseData().setThrottleTimeMs(4).setResponses(List.of(
        new FetchResponseData.FetchableTopicResponse().setTopic("orders").setPartitions(List.of(
            new FetchResponseData.PartitionData().setPartitionIndex(5).setHighWatermark(30)
                .setLastStableOffset(20).setLogStartOffset(10).setAbortedTransactions(List.of(
                    new FetchResponseData.AbortedTransaction().setProducerId(11).setFirstOffset(12)))
                .setRecords(records()))))), 11);
    var data = new ProduceRequestData.TopicProduceDataCollection();
    data.add(new ProduceRequestData.TopicProduceData().setName("orders").setPartitionData(List.of(
        new ProduceRequestData.PartitionProduceData().setIndex(5).setRecords(records()))));
    print("Produce request",
        new ProduceRequestData().setAcks((short) -1).setTimeoutMs(1000).setTopicData(data), 8);
    var answers = new ProduceResponseData.TopicProduceResponseCollection();
    answers.add(new ProduceResponseData.TopicProduceResponse().setName("orders").setPartitionResponses(
        List.of(new ProduceResponseData.PartitionProduceResponse().setIndex(5).setErrorCode((short) 87)
            .setBaseOffset(-1).setLogAppendTimeMs(8).setLogStartOffset(10).setErrorMessage("refused")
            .setRecordErrors(List.of(new ProduceResponseData.BatchIndexAndErrorMessage().setBatchIndex(3)
                .setBatchIndexErrorMessage("bad"))))));
    print("Produce response", new ProduceResponseData().setThrottleTimeMs(4).setResponses(answers), 8);
    print("InitProducerId request", new InitProducerIdRequestData().setTransactionalId(null)
        .setTransactionTimeoutMs(Integer.MAX_VALUE), 1);
    print("InitProducerId response", new InitProducerIdResponseData().setThrottleTimeMs(4)
        .setErrorCode((short) 14).setProducerId(1L << 40).setProducerEpoch((short) 6), 1);
    print("DescribeProducers request", new DescribeProducersRequestData().setTopics(List.of(
        new DescribeProducersRequestData.TopicRequest().setName("orders").setPartitionIndexes(List.of(5)))), 0);
    print("DescribeProducers response", new DescribeProducersResponseData().setThrottleTimeMs(4).setTopics(
        List.of(new DescribeProducersResponseData.TopicResponse().setName("orders").setPartitions(List.of(
            new DescribeProducersResponseData.PartitionResponse().setPartitionIndex(5)
                .setErrorMessage(null).setActiveProducers(List.of(
                    new DescribeProducersResponseData.ProducerState().setProducerId(11).setProducerEpoch(1)
                        .setLastSequence(2).setLastTimestamp(3).setCoordinatorEpoch(4)
                        .setCurrentTxnStartOffset(12))))))), 0);
  }

  private static void logDirs() {
    var topics = new DescribeLogDirsRequestData.DescribableLogDirTopicCollection();
    topics.add(new DescribeLogDirsRequestData.DescribableLogDirTopic().setTopic("orders")
        .setPartitions(List.of(5)));
    print("DescribeLogDirs request", new DescribeLogDirsRequestData().setTopics(topics), 1);
    print("DescribeLogDirs response", new DescribeLogDirsResponseData().setThrottleTimeMs(4)
        .setResults(List.of(new DescribeLogDirsResponseData.DescribeLogDirsResult()
            .setErrorCode((short) 56).setLogDir("/data").setTopics(List.of(
                new DescribeLogDirsResponseData.DescribeLogDirsTopic().setName("orders").setPartitions(
                    List.of(new DescribeLogDirsResponseData.DescribeLogDirsPartition()
                        .setPartitionIndex(5).setPartitionSize(1L << 40).setOffsetLag(3)
                        .setIsFutureKey(true))))))), 1);
  }

  private static void groupChanges() {
    print("OffsetCommit request", new OffsetCommitRequestData().setGroupId("billing")
        .setTopics(List.of(new OffsetCommitRequestData.OffsetCommitRequestTopic().setName("orders")
            .setPartitions(List.of(new OffsetCommitRequestData.OffsetCommitRequestPartition()
                .setPartitionIndex(5).setCommittedOffset(1L << 40).setCommittedLeaderEpoch(7)
                .setCommittedMetadata("note"))))), 7);
    print("OffsetCommit response", new OffsetCommitResponseData().setThrottleTimeMs(4).setTopics(List.of(
        new OffsetCommitResponseData.OffsetCommitResponseTopic().setName("orders").setPartitions(List.of(
            new OffsetCommitResponseData.OffsetCommitResponsePartition().setPartitionIndex(5)
                .setErrorCode((short) 25))))), 7);
    var topics = new OffsetDeleteRequestData.OffsetDeleteRequestTopicCollection();
    topics.add(new OffsetDeleteRequestData.OffsetDeleteRequestTopic().setName("orders").setPartitions(
        List.of(new OffsetDeleteRequestData.OffsetDeleteRequestPartition().setPartitionIndex(5))));
    print("OffsetDelete request",
        new OffsetDeleteRequestData().setGroupId("billing").setTopics(topics), 0);
    var partitions = new OffsetDeleteResponseData.OffsetDeleteResponsePartitionCollection();
    partitions.add(new OffsetDeleteResponseData.OffsetDeleteResponsePartition().setPartitionIndex(5)
        .setErrorCode((short) 86));
    var deleted = new OffsetDeleteResponseData.OffsetDeleteResponseTopicCollection();
    deleted.add(new OffsetDeleteResponseData.OffsetDeleteResponseTopic().setName("orders")
        .setPartitions(partitions));
    print("OffsetDelete response", new OffsetDeleteResponseData().setErrorCode((short) 68)
        .setThrottleTimeMs(4).setTopics(deleted), 0);
  }

  private static void describedGroups() {
    print("DescribeGroups request", new DescribeGroupsRequestData().setGroups(List.of("billing")), 4);
    print("DescribeGroups response", new DescribeGroupsResponseData().setThrottleTimeMs(4).setGroups(
        List.of(new DescribeGroupsResponseData.DescribedGroup().setErrorCode((short) 16)
            .setGroupId("billing").setGroupState("Stable").setProtocolType("consumer")
            .setProtocolData("range").setMembers(List.of(
                new DescribeGroupsResponseData.DescribedGroupMember().setMemberId("m-1")
                    .setGroupInstanceId("i").setClientId("app").setClientHost("/127.0.0.1")
                    .setMemberMetadata(new byte[] {1, 2}).setMemberAssignment(new byte[] {3}))))), 4);
    print("DescribeGroups request for rights", new DescribeGroupsRequestData()
        .setGroups(List.of("billing")).setIncludeAuthorizedOperations(true), 4);
    print("DescribeGroups response with rights", new DescribeGroupsResponseData().setThrottleTimeMs(4)
        .setGroups(List.of(new DescribeGroupsResponseData.DescribedGroup().setGroupId("billing")
            .setGroupState("Dead").setAuthorizedOperations(1 << 3 | 1 << 8))), 4);
    print("ConsumerGroupDescribe request",
        new ConsumerGroupDescribeRequestData().setGroupIds(List.of("billing")), 0);
    var assignment = new ConsumerGroupDescribeResponseData.Assignment().setTopicPartitions(List.of(
        new ConsumerGroupDescribeResponseData.TopicPartitions().setTopicId(new Uuid(1, 2))
            .setTopicName("orders").setPartitions(List.of(5, 6))));
    print("ConsumerGroupDescribe response", new ConsumerGroupDescribeResponseData().setThrottleTimeMs(4)
        .setGroups(List.of(new ConsumerGroupDescribeResponseData.DescribedGroup()
            .setErrorCode((short) 69).setErrorMessage("not a consumer group").setGroupId("billing")
            .setGroupState("Stable").setGroupEpoch(8).setAssignmentEpoch(9).setAssignorName("uniform")
            .setMembers(List.of(new ConsumerGroupDescribeResponseData.Member().setMemberId("m-1")
                .setInstanceId("i").setRackId(null).setMemberEpoch(8).setClientId("app")
                .setClientHost("/127.0.0.1").setSubscribedTopicNames(List.of("orders"))
                .setSubscribedTopicRegex(null).setAssignment(assignment)
                .setTargetAssignment(assignment))))), 0);
    var brokers = new DescribeClusterResponseData.DescribeClusterBrokerCollection();
    brokers.add(new DescribeClusterResponseData.DescribeClusterBroker().setBrokerId(2).setHost("h")
        .setPort(9092).setRack("r"));
    print("DescribeCluster request",
        new DescribeClusterRequestData().setIncludeClusterAuthorizedOperations(true), 0);
    print("DescribeCluster response", new DescribeClusterResponseData().setThrottleTimeMs(4)
        .setErrorCode((short) 15).setErrorMessage("loading").setClusterId("cluster").setControllerId(2)
        .setBrokers(brokers).setClusterAuthorizedOperations(1 << 8 | 1 << 11), 0);
  }

  private static void groups() {
    print("ListGroups request", new ListGroupsRequestData(), 4);
    print("ListGroups response", new ListGroupsResponseData().setThrottleTimeMs(4).setErrorCode((short) 15)
        .setGroups(List.of(new ListGroupsResponseData.ListedGroup().setGroupId("billing")
            .setProtocolType("consumer").setGroupState("Empty"))), 4);
    print("OffsetFetch request", new OffsetFetchRequestData().setGroupId("billing").setTopics(null), 5);
    print("OffsetFetch response", new OffsetFetchResponseData().setThrottleTimeMs(4).setTopics(List.of(
        new OffsetFetchResponseData.OffsetFetchResponseTopic().setName("orders").setPartitions(List.of(
            new OffsetFetchResponseData.OffsetFetchResponsePartition().setPartitionIndex(5)
                .setCommittedOffset(1L << 40).setCommittedLeaderEpoch(7).setMetadata("note")
                .setErrorCode((short) 88))))).setErrorCode((short) 16), 5);
    print("FindCoordinator request", new FindCoordinatorRequestData().setKey("billing"), 2);
    print("FindCoordinator response", new FindCoordinatorResponseData().setThrottleTimeMs(4)
        .setErrorCode((short) 15).setErrorMessage("loading").setNodeId(2).setHost("h").setPort(9092), 2);
    print("DescribeAcls request", new DescribeAclsRequestData().setResourceTypeFilter((byte) 1)
        .setResourceNameFilter(null).setPatternTypeFilter((byte) 1).setPrincipalFilter(null)
        .setHostFilter(null).setOperation((byte) 1).setPermissionType((byte) 1), 1);
    print("DescribeAcls response", new DescribeAclsResponseData().setThrottleTimeMs(4)
        .setErrorMessage(null).setResources(List.of(
            new DescribeAclsResponseData.DescribeAclsResource().setResourceType((byte) 2)
                .setResourceName("orders").setPatternType((byte) 4).setAcls(List.of(
                    new DescribeAclsResponseData.AclDescription().setPrincipal("User:alice").setHost("*")
                        .setOperation((byte) 3).setPermissionType((byte) 3))))), 1);
  }
}
