-- Whose e-mail address is known to be good, what links in mails may do, and where people are signed in.

-- Who could sign in until now may go on.
ALTER TABLE users ADD COLUMN verified_at timestamptz;
UPDATE users SET verified_at = created_at;

CREATE TABLE mail_tokens (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    purpose text NOT NULL CHECK (purpose IN ('verify', 'reset', 'change_email')),
    email text NOT NULL,
    user_id text REFERENCES users ON DELETE CASCADE,
    password_hash text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT mail_tokens_holds_check CHECK (
        (purpose = 'verify') = (password_hash IS NOT NULL) AND (purpose = 'verify') = (user_id IS NULL))
);
CREATE INDEX mail_tokens_email ON mail_tokens (lower(email), created_at);
CREATE INDEX mail_tokens_user ON mail_tokens (user_id);
CREATE INDEX mail_tokens_expiry ON mail_tokens (expires_at);

ALTER TABLE mail_outbox
    ADD COLUMN unasked boolean NOT NULL DEFAULT false,
    ADD COLUMN expires_at timestamptz;

ALTER TABLE sessions
    ADD COLUMN seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ADD COLUMN last_used_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN address text,
    ADD COLUMN user_agent text;
UPDATE sessions SET last_used_at = refreshed_at;

-- The row of a deleted account stays for what the books and the audit log say about it.
ALTER TABLE accounts ADD COLUMN deleted_at timestamptz;
