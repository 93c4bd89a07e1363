-- Customers' own names for their tunnels.

-- One claim of a name by an account. Anyone may claim any name; it is served once a TXT record has proven it, and
-- only one account's proof counts at a time. misses counts look-ups in a row, since missing_since, that found the
-- record of a proven name missing. next_check_at is NULL when only the owner has it looked up.
CREATE TABLE domains (
    id text PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    tunnel_id text NOT NULL REFERENCES tunnels ON DELETE CASCADE,
    hostname text NOT NULL CHECK (hostname = lower(hostname) AND char_length(hostname) <= 253),
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'proven', 'failed', 'lapsed')),
    misses integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    proven_at timestamptz,
    missing_since timestamptz,
    checked_at timestamptz,
    next_check_at timestamptz DEFAULT now(),
    CONSTRAINT domains_account_hostname_key UNIQUE (account_id, hostname)
);
CREATE UNIQUE INDEX domains_proven_key ON domains (hostname) WHERE state = 'proven';
CREATE INDEX domains_tunnel ON domains (tunnel_id, seq);
CREATE INDEX domains_due ON domains (next_check_at) WHERE next_check_at IS NOT NULL;
