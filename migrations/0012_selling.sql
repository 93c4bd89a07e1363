-- What plans sell beyond the volume that they include, and how far Stripe was told of it.

-- The Stripe price of what goes beyond bytes_per_month; stripe_meter counts it.
ALTER TABLE plans ADD COLUMN stripe_meter_price text;

-- Times of an account on a plan that sells more volume: whole hours of one calendar month in UTC. until is NULL while it
-- lasts. What was moved before since uses up what is included, and is not sold.
CREATE TABLE metered_periods (
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    since timestamptz NOT NULL,
    until timestamptz,
    plan_id text NOT NULL REFERENCES plans,
    customer_id text NOT NULL,
    event_name text NOT NULL,
    included bigint NOT NULL CHECK (included >= 0),
    PRIMARY KEY (account_id, since),
    CHECK (until >= since)
);
CREATE UNIQUE INDEX metered_periods_open ON metered_periods (account_id) WHERE until IS NULL;
CREATE INDEX metered_periods_plan ON metered_periods (plan_id);

-- Events for Stripe's meter, each sent until it counts, once. unclear_since is since when it may have counted; no
-- reference to accounts: what may have been billed stays to be looked at.
CREATE TABLE meter_events (
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account_id text NOT NULL,
    hour timestamptz NOT NULL,
    part integer NOT NULL CHECK (part > 0),
    identifier text NOT NULL UNIQUE,
    customer_id text NOT NULL,
    event_name text NOT NULL,
    bytes bigint NOT NULL CHECK (bytes > 0),
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'unclear', 'late')),
    unclear_since timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL,
    problem text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, hour, part)
);
CREATE INDEX meter_events_due ON meter_events (next_try_at) WHERE state = 'due';
CREATE INDEX meter_events_in_doubt ON meter_events (state, seq) WHERE state IN ('unclear', 'late');
