-- What passed through tunnels, told by relays and added exactly once.

-- Reports that were added, so that one told again is not. Kept longer than any relay repeats itself.
CREATE TABLE usage_reports (
    relay_id text NOT NULL,
    report_id text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (relay_id, report_id)
);
CREATE INDEX usage_reports_age ON usage_reports (received_at);

-- The account of a tunnel that is gone: what passed before still counts, and a relay may tell it later.
CREATE TABLE former_tunnels (
    id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    -- Its place in the order of creation, as in tunnels.
    seq bigint NOT NULL,
    hostname text NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX former_tunnels_account ON former_tunnels (account_id, seq);

-- hour is its beginning. No reference to tunnels: they go, what they used stays.
CREATE TABLE usage_hours (
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    hour timestamptz NOT NULL,
    tunnel_id text NOT NULL,
    bytes_up bigint NOT NULL CHECK (bytes_up >= 0),
    bytes_down bigint NOT NULL CHECK (bytes_down >= 0),
    player_s bigint NOT NULL CHECK (player_s >= 0),
    PRIMARY KEY (account_id, hour, tunnel_id)
);
CREATE INDEX usage_hours_age ON usage_hours (hour);

-- The sums that quotas and bills are read from; month is its first day, in UTC.
CREATE TABLE usage_months (
    month date NOT NULL,
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    bytes_up bigint NOT NULL CHECK (bytes_up >= 0),
    bytes_down bigint NOT NULL CHECK (bytes_down >= 0),
    player_s bigint NOT NULL CHECK (player_s >= 0),
    -- What the owners were told of: that 80 or 100 per cent of so many bytes are used.
    warned_percent smallint NOT NULL DEFAULT 0 CHECK (warned_percent IN (0, 80, 100)),
    warned_bytes bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (month, account_id)
);
CREATE INDEX usage_months_account ON usage_months (account_id);

CREATE INDEX accounts_over_quota ON accounts (id) WHERE quota_throttled;

ALTER TABLE account_limits
    ADD COLUMN bytes_per_month bigint CHECK (bytes_per_month = -1 OR bytes_per_month > 0);

-- The event name of the Stripe meter that bills what goes beyond bytes_per_month; NULL when that is not sold.
ALTER TABLE plans ADD COLUMN stripe_meter text;
