-- Charges lie in the order of their hours. With the server first, each charge of an hour went to a page of its own of
-- the key, and to more of them the longer the month; now an hour's charges are added at the key's end. What reads one
-- server's charges goes from hour to hour, each by the whole key.
ALTER TABLE charges DROP CONSTRAINT charges_pkey;
ALTER TABLE charges ADD PRIMARY KEY (hour, server_id);

-- The newest charge of a server within [since, before), which are full hours; all NULL where there is none. Most servers
-- have one in the hour before; none has one from before its creation.
CREATE FUNCTION last_charge(server bigint, since timestamptz, before timestamptz) RETURNS charges
LANGUAGE plpgsql STABLE AS $$
DECLARE
  newest charges;
  at     timestamptz := before - interval '1 hour';
  first  timestamptz;
BEGIN
  WHILE at >= coalesce(first, since) LOOP
    SELECT * INTO newest FROM charges WHERE hour = at AND server_id = server;
    EXIT WHEN FOUND;
    IF first IS NULL THEN
      SELECT greatest(since, date_trunc('hour', s.created_at, 'UTC')) INTO first FROM servers s WHERE s.id = server;
    END IF;
    at := at - interval '1 hour';
  END LOOP;
  RETURN newest;
END $$;

-- The oldest charges of a server within [since, before), oldest first. It has none from before its creation, nor from
-- hours that are open.
CREATE FUNCTION first_charges(server bigint, since timestamptz, before timestamptz, at_most integer)
RETURNS SETOF charges LANGUAGE plpgsql STABLE AS $$
DECLARE
  one      charges;
  at       timestamptz;
  ends     timestamptz;
  returned integer := 0;
BEGIN
  SELECT date_trunc('hour', greatest(since + interval '1 hour' - interval '1 microsecond', s.created_at), 'UTC'),
         least(before, a.closed_until) INTO at, ends
    FROM servers s JOIN billing_accounts a ON a.user_id = s.user_id WHERE s.id = server;
  WHILE at < ends AND returned < at_most LOOP
    SELECT * INTO one FROM charges WHERE hour = at AND server_id = server;
    IF FOUND THEN
      RETURN NEXT one;
      returned := returned + 1;
    END IF;
    at := at + interval '1 hour';
  END LOOP;
END $$;
