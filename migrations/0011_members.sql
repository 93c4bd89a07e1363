-- Several people in one account: who was invited, who made which key, and in which order members came.

-- What its members call it; NULL until somebody says.
ALTER TABLE accounts ADD COLUMN name text CHECK (char_length(name) BETWEEN 1 AND 60);

ALTER TABLE members ADD COLUMN seq bigint GENERATED ALWAYS AS IDENTITY;
CREATE UNIQUE INDEX members_order ON members (account_id, seq);

-- Whose it is: it goes when that member goes. NULL for keys that nobody signed in for.
ALTER TABLE agent_keys ADD COLUMN made_by text REFERENCES users ON DELETE SET NULL;
ALTER TABLE api_keys ADD COLUMN made_by text REFERENCES users ON DELETE SET NULL;
CREATE INDEX agent_keys_made_by ON agent_keys (made_by) WHERE made_by IS NOT NULL;
CREATE INDEX api_keys_made_by ON api_keys (made_by) WHERE made_by IS NOT NULL;

-- A row is there until the invitation is accepted, declined or withdrawn. The token stands in the last mail only.
CREATE TABLE invitations (
    id text PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    email text NOT NULL,
    role text NOT NULL CHECK (role IN ('admin', 'support', 'viewer')),
    made_by text REFERENCES users ON DELETE CASCADE,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    -- How often it was mailed.
    mails integer NOT NULL DEFAULT 1,
    mailed_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX invitations_email ON invitations (account_id, lower(email));
CREATE INDEX invitations_account ON invitations (account_id, seq);
CREATE INDEX invitations_made_by ON invitations (made_by) WHERE made_by IS NOT NULL;
