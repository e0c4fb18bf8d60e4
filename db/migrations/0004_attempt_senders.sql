-- Until when (real time) the engine that sent an attempt may still be there, cut off from the database alone: what it
-- has sent may be done for a settle time more. NULL where the sender is surely gone, or its outcome is known.
ALTER TABLE create_attempts ADD COLUMN sender_gone_at timestamptz;
