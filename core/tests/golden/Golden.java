import java.io.*; import java.nio.*; import java.nio.file.*; import java.util.*;
import org.apache.kafka.common.*; import org.apache.kafka.common.compress.*; import org.apache.kafka.common.record.*; import org.apache.kafka.common.utils.*; import org.apache.kafka.common.header.*; import org.apache.kafka.common.header.internals.*;
import org.apache.kafka.storage.internals.log.*; import org.apache.kafka.storage.internals.checkpoint.*; import org.apache.kafka.server.common.*;
public class Golden {
  static MemoryRecords batch(Compression c, long base, int n, long ts, long pid, short epoch, int seq, boolean txn, int leaderEpoch) {
    ByteBuffer buf = ByteBuffer.allocate(1<<16);
    MemoryRecordsBuilder b = new MemoryRecordsBuilder(buf, RecordBatch.MAGIC_VALUE_V2, c, TimestampType.CREATE_TIME, base, RecordBatch.NO_TIMESTAMP, pid, epoch, seq, txn, false, leaderEpoch, 1<<16);
    for (int i=0;i<n;i++) {
      byte[] key = i%3==2?null:("key "+i).getBytes(); byte[] value = i%4==3?null:("value "+i+" ").repeat(5).getBytes();
      Header[] h = i==0? new Header[]{new RecordHeader("h","1".getBytes()), new RecordHeader("h",null)}: new Header[0];
      b.append(ts+i*10L, key, value, h);
    }
    return b.build();
  }
  static void write(File f, MemoryRecords r) throws Exception { try (FileOutputStream o=new FileOutputStream(f)) { ByteBuffer b=r.buffer().duplicate(); byte[] x=new byte[b.remaining()]; b.get(x); o.write(x);} }
  public static void main(String[] a) throws Exception {
    File out = new File(a[0]); out.mkdirs();
    Map<String,Compression> cs = new LinkedHashMap<>();
    cs.put("none", Compression.NONE); cs.put("gzip", Compression.gzip().build()); cs.put("snappy", Compression.snappy().build()); cs.put("lz4", Compression.lz4().build()); cs.put("zstd", Compression.zstd().build());
    for (var e: cs.entrySet()) write(new File(out,"batch-"+e.getKey()+".bin"), batch(e.getValue(), 40, 7, 1700000000000L, 7, (short)2, 40, false, 5));
    write(new File(out,"batch-transactional.bin"), batch(Compression.NONE, 3, 2, 1700000000000L, 9, (short)0, 0, true, 1));
    write(new File(out,"batch-commit-marker.bin"), MemoryRecords.withEndTransactionMarker(5, 1700000000100L, 1, 9, (short)0, new EndTransactionMarker(ControlRecordType.COMMIT, 3)));
    // a filtered batch: of each key the last
    {
      ByteBuffer buf = ByteBuffer.allocate(1<<12);
      MemoryRecordsBuilder b = new MemoryRecordsBuilder(buf, RecordBatch.MAGIC_VALUE_V2, Compression.NONE, TimestampType.CREATE_TIME, 10, RecordBatch.NO_TIMESTAMP, 7L, (short)2, 40, false, false, 5, 1<<12);
      String[][] kv={{"a","1"},{"b","2"},{"a",null},{"c","3"}};
      for (int i=0;i<4;i++) b.append(1700000000000L+i, kv[i][0].getBytes(), kv[i][1]==null?null:kv[i][1].getBytes(), new Header[0]);
      MemoryRecords r = b.build(); write(new File(out,"compaction-before.bin"), r);
      for (int mode=0; mode<2; mode++) {
        final int m=mode; ByteBuffer dst=ByteBuffer.allocate(1<<12);
        MemoryRecords.FilterResult fr = r.filterTo(new TopicPartition("orders",0), new MemoryRecords.RecordFilter(1700000100000L, 86400000L) {
          protected BatchRetentionResult checkBatchRetention(RecordBatch rb) { return new BatchRetentionResult(m==0?BatchRetention.DELETE_EMPTY:BatchRetention.RETAIN_EMPTY, false);}
          protected boolean shouldRetainRecord(RecordBatch rb, org.apache.kafka.common.record.Record rec) { return m==0 && rec.offset()!=10; }
        }, dst, Integer.MAX_VALUE, BufferSupplier.NO_CACHING);
        ByteBuffer o=fr.outputBuffer(); o.flip(); write(new File(out, m==0?"compaction-after.bin":"compaction-empty.bin"), MemoryRecords.readableRecords(o));
      }
    }
    // a segment: 40 batches, index every 4096 bytes
    File dir = new File(out,"orders-0"); dir.mkdirs();
    Properties p=new Properties(); p.put("index.interval.bytes","4096"); p.put("segment.bytes","1048576"); p.put("segment.index.bytes","1024");
    LogConfig cfg=new LogConfig(p);
    LogSegment s = LogSegment.open(dir, 1000L, cfg, Time.SYSTEM, 0, false);
    ProducerStateManager psm = new ProducerStateManager(new TopicPartition("orders",0), dir, 900000, new ProducerStateManagerConfig(86400000,false), Time.SYSTEM);
    long off=1000; int seq=0;
    for (int i=0;i<40;i++) {
      int n=1+i%5; MemoryRecords r=batch(Compression.NONE, off, n, 1700000000000L+(i%7==6?-500:i*100L), 7, (short)0, seq, false, 3);
      RecordBatch rb=r.batches().iterator().next();
      s.append(rb.lastOffset(), rb.maxTimestamp(), rb.lastOffset(), r);
      ProducerAppendInfo info=psm.prepareUpdate(7, AppendOrigin.REPLICATION); info.append(rb, Optional.empty()); psm.update(info);
      off=rb.nextOffset(); seq+=n;
    }
    psm.updateMapEndOffset(off); psm.takeSnapshot();
    s.onBecomeInactiveSegment(); s.flush(); s.close();
    // transactions of two producers: a segment, and the index of those that were aborted
    File tdir = new File(out,"transactions-0"); tdir.mkdirs();
    LogSegment t = LogSegment.open(tdir, 1000L, cfg, Time.SYSTEM, 0, false);
    ProducerStateManager tpsm = new ProducerStateManager(new TopicPartition("transactions",0), tdir, 900000, new ProducerStateManagerConfig(86400000,false), Time.SYSTEM);
    long at=1000; int[] seqs=new int[20];
    // producer, how many records; or 0 for an abort, -1 for a commit
    int[][] story={{9,2},{11,1},{9,0},{9,3},{11,2},{9,-1},{13,1},{11,0},{9,1},{13,0},{9,0}};
    for (int[] step: story) {
      int pid=step[0]; int n=step[1];
      MemoryRecords r = n>0 ? batch(Compression.NONE, at, n, 1700000000000L+at, pid, (short)1, seqs[pid], true, 2)
        : MemoryRecords.withEndTransactionMarker(at, 1700000000000L+at, 2, pid, (short)1, new EndTransactionMarker(n==0?ControlRecordType.ABORT:ControlRecordType.COMMIT, 5));
      RecordBatch rb=r.batches().iterator().next();
      t.append(rb.lastOffset(), rb.maxTimestamp(), rb.lastOffset(), r);
      ProducerAppendInfo info=tpsm.prepareUpdate(pid, AppendOrigin.REPLICATION); Optional<CompletedTxn> done=info.append(rb, Optional.empty()); tpsm.update(info);
      if (done.isPresent()) { t.updateTxnIndex(done.get(), tpsm.lastStableOffset(done.get())); tpsm.completeTxn(done.get()); }
      at=rb.nextOffset(); seqs[pid]+=Math.max(n,0);
    }
    tpsm.updateMapEndOffset(at); tpsm.takeSnapshot();
    t.onBecomeInactiveSegment(); t.flush(); t.close();
    LeaderEpochCheckpointFile cp=new LeaderEpochCheckpointFile(new File(dir,"leader-epoch-checkpoint"), new LogDirFailureChannel(1));
    cp.write(List.of(new EpochEntry(0,0), new EpochEntry(2,17), new EpochEntry(3,1000)));
    new CleanShutdownFileHandler(out.getPath()).write(42L);
    PartitionMetadataFile pm=new PartitionMetadataFile(new File(dir,"partition.metadata"), new LogDirFailureChannel(1)); pm.record(new Uuid(0x0123456789abcdefL,0x1122334455667788L)); pm.maybeFlush();
  }
}
