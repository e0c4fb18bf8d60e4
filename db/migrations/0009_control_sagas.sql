-- Suspend, unsuspend and change of plan as sagas.
ALTER TABLE actions
  DROP CONSTRAINT actions_kind_check,
  ADD CONSTRAINT actions_kind_check CHECK (kind IN ('create', 'delete', 'suspend', 'unsuspend', 'resize')),
  -- When the call that a suspension counts from was sent (business time); committed before its bytes leave.
  ADD COLUMN sent_at timestamptz,
  -- The plan that a resize leads to.
  ADD COLUMN to_plan text REFERENCES plans,
  ADD CHECK ((kind = 'resize') = (to_plan IS NOT NULL));

-- It ran before it was suspended: it is booted when that is lifted.
ALTER TABLE servers ADD COLUMN boots_unsuspended boolean NOT NULL DEFAULT false;
