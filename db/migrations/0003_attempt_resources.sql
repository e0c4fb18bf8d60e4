-- What the package of an attempt had when it was sent: what was made by it is recognised by that, also when the package
-- is changed in VirtFusion meanwhile. NULL where VirtFusion did not tell.
ALTER TABLE create_attempts
  ADD COLUMN memory_mb  bigint,
  ADD COLUMN storage_gb bigint,
  ADD COLUMN traffic_gb bigint,
  ADD COLUMN cpu_cores  bigint,
  ADD CHECK (num_nulls(memory_mb, storage_gb, traffic_gb, cpu_cores) IN (0, 4));
