-- Who changed what and from where, what a member's role is, and what an account's bill and volume allow.

ALTER TABLE audit_log
    ADD COLUMN address text,
    ADD COLUMN before json,
    ADD COLUMN after json;

ALTER TABLE members DROP CONSTRAINT members_role_check;
UPDATE members SET role = 'viewer' WHERE role = 'member';
ALTER TABLE members ADD CONSTRAINT members_role_check CHECK (role IN ('owner', 'admin', 'support', 'viewer'));

ALTER TABLE operator_keys
    ADD COLUMN role text NOT NULL DEFAULT 'operator' CHECK (role IN ('operator', 'support', 'read-only'));

-- NULL is every scope.
ALTER TABLE api_keys ADD COLUMN scopes text[];

-- What a throttled account has instead of its rate: 1 Mbit/s.
ALTER TABLE plans ADD COLUMN throttled_bytes_per_s bigint DEFAULT 125000 CHECK (throttled_bytes_per_s > 0);

ALTER TABLE accounts
    ADD COLUMN billing_state text NOT NULL DEFAULT 'none'
        CHECK (billing_state IN ('none', 'active', 'grace', 'throttled', 'suspended', 'revoked')),
    ADD COLUMN quota_throttled boolean NOT NULL DEFAULT false,
    ADD COLUMN served boolean NOT NULL
        GENERATED ALWAYS AS (suspended_at IS NULL AND billing_state <> 'suspended') STORED,
    ADD COLUMN throttled boolean NOT NULL
        GENERATED ALWAYS AS (quota_throttled OR billing_state = 'throttled') STORED;
