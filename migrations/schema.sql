-- The whole schema after every migration, to read. Nothing runs this file: a test builds it and the
-- migrations side by side and compares.

-- What an account may use. NULL is no limit.
CREATE TABLE plans (
    id text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9_-]{0,31}$'),
    name text NOT NULL,
    position integer NOT NULL,
    max_tunnels integer CHECK (max_tunnels >= 0),
    max_players integer CHECK (max_players >= 0),
    bytes_per_s bigint CHECK (bytes_per_s > 0),
    idle_timeout_s integer CHECK (idle_timeout_s > 0),
    chosen_names boolean NOT NULL,
    bytes_per_month bigint CHECK (bytes_per_month > 0),
    own_domains boolean NOT NULL DEFAULT false,
    priority boolean NOT NULL DEFAULT false,
    max_members integer CHECK (max_members > 0),
    stripe_price text CONSTRAINT plans_stripe_price_key UNIQUE,
    -- What a throttled account has instead of its rate: 1 Mbit/s.
    throttled_bytes_per_s bigint DEFAULT 125000 CHECK (throttled_bytes_per_s > 0),
    -- The event name of the Stripe meter that bills what goes beyond bytes_per_month; NULL when that is not sold.
    stripe_meter text,
    stripe_meter_price text,
    -- Tunnels go when no agent had them for so many days; NULL is never. Owners hear of it 14 days before.
    unused_after_days integer CHECK (unused_after_days >= 15)
);

INSERT INTO plans (
    id, name, position, max_tunnels, max_players, bytes_per_s, bytes_per_month, idle_timeout_s, chosen_names,
    own_domains, priority, max_members, unused_after_days)
VALUES
    ('free', 'Free', 1, 1, 10, 2500000, 50000000000, 1800, false, false, false, 1, 90),
    ('plus', 'Plus', 2, 5, 60, 12500000, 1000000000000, NULL, true, true, true, 1, NULL),
    ('team', 'Team', 3, 25, 250, 62500000, 5000000000000, NULL, true, true, true, NULL, NULL),
    ('unlimited', 'Unlimited', 4, NULL, NULL, NULL, NULL, NULL, true, true, true, NULL, NULL);

-- Who pays.
CREATE TABLE accounts (
    id text PRIMARY KEY,
    plan_id text NOT NULL DEFAULT 'free' REFERENCES plans,
    -- When an operator suspended it.
    suspended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- What its bill allows.
    billing_state text NOT NULL DEFAULT 'none'
        CHECK (billing_state IN ('none', 'active', 'grace', 'throttled', 'suspended', 'revoked')),
    -- Whether the month's volume is used up.
    quota_throttled boolean NOT NULL DEFAULT false,
    served boolean NOT NULL GENERATED ALWAYS AS (suspended_at IS NULL AND billing_state <> 'suspended') STORED,
    throttled boolean NOT NULL GENERATED ALWAYS AS (quota_throttled OR billing_state = 'throttled') STORED,
    -- What its members call it; NULL until somebody says.
    name text CHECK (char_length(name) BETWEEN 1 AND 60),
    -- Its people, keys and tunnels are gone then; the row stays for what the books and the audit log say about it.
    deleted_at timestamptz
);
CREATE INDEX accounts_plan ON accounts (plan_id);
CREATE INDEX accounts_over_quota ON accounts (id) WHERE quota_throttled;

-- What one account has instead of its plan's numbers: NULL is the plan's, -1 is no limit.
CREATE TABLE account_limits (
    account_id text PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    max_tunnels integer CHECK (max_tunnels >= -1),
    max_players integer CHECK (max_players >= -1),
    bytes_per_s bigint CHECK (bytes_per_s = -1 OR bytes_per_s > 0),
    idle_timeout_s integer CHECK (idle_timeout_s = -1 OR idle_timeout_s > 0),
    changed_at timestamptz NOT NULL DEFAULT now(),
    bytes_per_month bigint CHECK (bytes_per_month = -1 OR bytes_per_month > 0)
);

-- Who signs in. password_hash is scrypt in its text form.
CREATE TABLE users (
    id text PRIMARY KEY,
    email text NOT NULL,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When the address was last shown to be this person's.
    verified_at timestamptz
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

-- What the link in a mail may do, once. Stored as SHA-256 of the token.
CREATE TABLE mail_tokens (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    purpose text NOT NULL CHECK (purpose IN ('verify', 'reset', 'change_email')),
    -- Whom the mail went to.
    email text NOT NULL,
    user_id text REFERENCES users ON DELETE CASCADE,
    -- verify: what this sign-up chose. Nobody else's sign-up with the same address becomes good by this link.
    password_hash text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT mail_tokens_holds_check CHECK (
        (purpose = 'verify') = (password_hash IS NOT NULL) AND (purpose = 'verify') = (user_id IS NULL))
);
CREATE INDEX mail_tokens_email ON mail_tokens (lower(email), created_at);
CREATE INDEX mail_tokens_user ON mail_tokens (user_id);
CREATE INDEX mail_tokens_expiry ON mail_tokens (expires_at);

CREATE TABLE members (
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    user_id text NOT NULL REFERENCES users ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'support', 'viewer')),
    created_at timestamptz NOT NULL DEFAULT now(),
    seq bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (account_id, user_id)
);
CREATE INDEX members_user ON members (user_id);
CREATE UNIQUE INDEX members_order ON members (account_id, seq);

-- Members, and whether each is beyond what the plan has room for: owners come first, then who joined first.
CREATE VIEW seated_members AS
SELECT m.account_id, m.user_id, m.role, m.created_at, m.seq,
    coalesce(p.max_members <= (
        SELECT count(*) FROM members o
        WHERE o.account_id = m.account_id AND (o.role = 'owner', -o.seq) > (m.role = 'owner', -m.seq)), false)
        AS surplus
FROM members m
JOIN accounts a ON a.id = m.account_id
JOIN plans p ON p.id = a.plan_id;

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

-- One sign-in: a family of refresh tokens. Only the newest counter refreshes; refresh_key authenticates them.
CREATE TABLE sessions (
    id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users ON DELETE CASCADE,
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    refresh_key bytea NOT NULL,
    counter bigint NOT NULL DEFAULT 0,
    refreshed_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- To the minute.
    last_used_at timestamptz NOT NULL DEFAULT now(),
    -- Of the sign-in, then of the newest renewal.
    address text,
    user_agent text
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Keys are stored as SHA-256 of their text and shown once.
CREATE TABLE agent_keys (
    id text PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at timestamptz,
    -- Whose it is: it goes when that member goes. NULL for keys that nobody signed in for.
    made_by text REFERENCES users ON DELETE SET NULL
);
CREATE INDEX agent_keys_account ON agent_keys (account_id, seq);
CREATE INDEX agent_keys_made_by ON agent_keys (made_by) WHERE made_by IS NOT NULL;

CREATE TABLE api_keys (
    id text PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at timestamptz,
    -- NULL is every scope.
    scopes text[],
    made_by text REFERENCES users ON DELETE SET NULL
);
CREATE INDEX api_keys_account ON api_keys (account_id, seq);
CREATE INDEX api_keys_made_by ON api_keys (made_by) WHERE made_by IS NOT NULL;

CREATE TABLE operator_keys (
    id text PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at timestamptz,
    role text NOT NULL DEFAULT 'operator' CHECK (role IN ('operator', 'support', 'read-only'))
);

CREATE TABLE relay_keys (
    id text PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at timestamptz
);

-- rev orders everything relays of the region are told; it only grows under the row's lock, so commit order is
-- revision order.
CREATE TABLE regions (
    id text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9-]{0,14}$'),
    name text NOT NULL,
    rev bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE relays (
    id text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    region_id text NOT NULL REFERENCES regions,
    endpoint text NOT NULL,
    mesh_address text,
    fingerprint text NOT NULL CHECK (fingerprint ~ '^[0-9a-f]{64}$'),
    state text NOT NULL CHECK (state IN ('active', 'draining', 'lost', 'removed')),
    shared_entry boolean NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    -- Since when it is in this state.
    state_since timestamptz NOT NULL DEFAULT now(),
    -- Which start of the program registered last: an operator's word to drain is for that one.
    run text
);
CREATE INDEX relays_region ON relays (region_id);

CREATE TABLE tunnels (
    id text PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    region_id text NOT NULL REFERENCES regions,
    label text NOT NULL,
    hostname text NOT NULL CONSTRAINT tunnels_hostname_key UNIQUE,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    -- surplus: the account's limits allow fewer tunnels; it comes back by itself. operator: somebody decided so.
    suspended_reason text CHECK (suspended_reason IN ('surplus', 'operator')),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When an agent had a link for it, to the day.
    last_linked_at timestamptz,
    -- When owners were told that it goes; counts until it is used again.
    expiry_told_at timestamptz,
    CONSTRAINT tunnels_label_key UNIQUE (region_id, label),
    CONSTRAINT tunnels_suspended_check CHECK ((state = 'suspended') = (suspended_reason IS NOT NULL))
);
CREATE INDEX tunnels_account ON tunnels (account_id, seq);

-- Where a tunnel lives. generation grows with session and owner: the fencing token. owner is NULL after its
-- agent key was revoked; the row stays so that the generation never falls back. awaited_since is NULL once the
-- agent has left again.
CREATE TABLE placements (
    tunnel_id text PRIMARY KEY REFERENCES tunnels ON DELETE CASCADE,
    region_id text NOT NULL REFERENCES regions,
    generation bigint NOT NULL CHECK (generation > 0),
    session text,
    -- The last sessions that another one took over from: they do not get the tunnel back.
    replaced_sessions text[] NOT NULL DEFAULT '{}',
    agent_key_id text REFERENCES agent_keys,
    -- The last other keys that had the tunnel: players may play on through their agents.
    past_keys text[] NOT NULL DEFAULT '{}',
    -- Those of them that were revoked: relays end what came with them.
    revoked_keys text[] NOT NULL DEFAULT '{}',
    owner_relay_id text REFERENCES relays,
    standby_relay_id text REFERENCES relays,
    previous_relay_id text REFERENCES relays,
    awaited_since timestamptz DEFAULT now(),
    linked_at timestamptz,
    -- The first generation of the present session: what relays report of links since then is about its agent.
    first_generation bigint NOT NULL DEFAULT 1,
    -- As linked_at, of the standby's link.
    standby_linked_at timestamptz
);
CREATE INDEX placements_owner ON placements (owner_relay_id);
CREATE INDEX placements_standby ON placements (standby_relay_id) WHERE standby_relay_id IS NOT NULL;
-- Agents that have a link but no second relay.
CREATE INDEX placements_alone ON placements (region_id)
    WHERE standby_relay_id IS NULL AND linked_at IS NOT NULL;
CREATE INDEX placements_waiting ON placements (region_id, awaited_since) WHERE linked_at IS NULL;
CREATE INDEX placements_agent_key ON placements (agent_key_id);

-- What relays of a region are still to be told, and what they were told lately. No row is ever changed.
CREATE TABLE outbox (
    region_id text NOT NULL REFERENCES regions,
    rev bigint NOT NULL,
    payload json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (region_id, rev)
);

-- Who leads. Expiry is by the database's clock; a takeover adds 1 to the epoch. Rows are never deleted, or epochs
-- would begin again.
CREATE TABLE leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    epoch bigint NOT NULL,
    expires_at timestamptz NOT NULL
);

-- What access tokens, tickets and assignments are signed with. sealed is the private key, encrypted with
-- SIGNING_KEYS_SECRET under its kid; a row is deleted when nothing it signed counts any more.
CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('published', 'signing', 'retired')),
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    signs_since timestamptz,
    retired_at timestamptz,
    CHECK ((state = 'published') = (signs_since IS NULL)),
    CHECK ((state = 'retired') = (retired_at IS NOT NULL))
);
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (state) WHERE state = 'published';
CREATE UNIQUE INDEX signing_keys_one_signs ON signing_keys (state) WHERE state = 'signing';

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    account_id text,
    actor text NOT NULL,
    action text NOT NULL,
    subject text,
    detail json,
    address text,
    before json,
    after json
);
CREATE INDEX audit_log_account ON audit_log (account_id, at, id);
CREATE INDEX audit_log_at ON audit_log (at, id);
CREATE INDEX audit_log_actor ON audit_log (actor, at, id);
CREATE INDEX audit_log_subject ON audit_log (subject, at, id);

-- A reply already given to a request with an Idempotency-Key. status is NULL while the first one runs; a reply
-- that held a secret keeps the made thing's id instead of its body.
CREATE TABLE idempotency_keys (
    scope text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status integer,
    body text,
    resource_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Mails on their way. The body is emptied once the mail is sent or given up: it may hold a token.
CREATE TABLE mail_outbox (
    id text PRIMARY KEY,
    recipient text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    kind text NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'given_up')),
    attempts integer NOT NULL DEFAULT 0,
    -- While a process sends it: when the others may.
    next_try_at timestamptz NOT NULL DEFAULT now(),
    problem text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    -- A stranger may have caused it: only so many an hour go to one address.
    unasked boolean NOT NULL DEFAULT false,
    -- Nobody needs it after that.
    expires_at timestamptz
);
CREATE INDEX mail_outbox_due ON mail_outbox (next_try_at) WHERE state = 'waiting';
CREATE INDEX mail_outbox_recipient ON mail_outbox (lower(recipient), created_at);

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

-- Names with what is decided and shown by: their times in seconds of the epoch, where they lead, the port that all
-- relays of the region share (NULL when they share none), and whether the account's plan has own domains.
CREATE VIEW shown_domains AS
SELECT d.seq, d.id, d.account_id, d.tunnel_id, d.hostname, d.state, d.misses,
    floor(extract(epoch FROM d.created_at))::bigint AS created_s,
    floor(extract(epoch FROM d.proven_at))::bigint AS proven_s,
    floor(extract(epoch FROM d.missing_since))::bigint AS missing_since_s,
    floor(extract(epoch FROM d.checked_at))::bigint AS checked_s,
    floor(extract(epoch FROM d.next_check_at))::bigint AS next_check_s,
    t.hostname AS target, plans.own_domains,
    (SELECT CASE WHEN min(substring(r.endpoint FROM '[0-9]+$')) = max(substring(r.endpoint FROM '[0-9]+$'))
        THEN min(substring(r.endpoint FROM '[0-9]+$')) END
    FROM relays r WHERE r.region_id = t.region_id AND r.state IN ('active', 'draining')) AS port
FROM domains d
JOIN tunnels t ON t.id = d.tunnel_id
JOIN accounts a ON a.id = d.account_id
JOIN plans ON plans.id = a.plan_id;

-- Events as they were delivered; a row is there before Stripe gets its 2xx. lease is who works on it now, until due_at.
CREATE TABLE stripe_events (
    id text PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    type text NOT NULL,
    customer_id text,
    payload json NOT NULL,
    source text NOT NULL CHECK (source IN ('webhook', 'catch-up')),
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'ignored', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    -- How often it failed by itself rather than because Stripe was away.
    strikes integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    lease text,
    problem text,
    received_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz
);
CREATE INDEX stripe_events_due ON stripe_events (due_at, seq) WHERE state = 'pending';
CREATE INDEX stripe_events_customer ON stripe_events (customer_id) WHERE state = 'pending';
CREATE INDEX stripe_events_state ON stripe_events (state, seq);

-- Customers of Stripe's, each bound to one account at most. tickets counts who asked Stripe about the customer,
-- applied is the newest of them whose answer was written: what was asked earlier never overwrites it.
CREATE TABLE stripe_customers (
    id text PRIMARY KEY,
    account_id text REFERENCES accounts ON DELETE SET NULL,
    -- ours: we made the customer for the account. metadata: only we could write it. reference: a checkout said so.
    bound_by text CHECK (bound_by IN ('ours', 'metadata', 'reference')),
    bound_at timestamptz,
    tickets bigint NOT NULL DEFAULT 0,
    applied bigint NOT NULL DEFAULT 0,
    deleted_at timestamptz,
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stripe_customers_account ON stripe_customers (account_id);

CREATE TABLE stripe_subscriptions (
    id text PRIMARY KEY,
    customer_id text NOT NULL REFERENCES stripe_customers ON DELETE CASCADE,
    status text NOT NULL CHECK (status IN (
        'incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'unpaid', 'canceled', 'paused')),
    prices text[] NOT NULL,
    awaits_payment boolean NOT NULL,
    late_since timestamptz,
    period_end timestamptz,
    paid_until timestamptz,
    ends_with_period boolean NOT NULL,
    read_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stripe_subscriptions_customer ON stripe_subscriptions (customer_id);

-- Checkouts: ours from their beginning, with their account, and whatever else came to an end. While one that ended is
-- not paid, its subscription gives nothing.
CREATE TABLE stripe_checkouts (
    id text PRIMARY KEY,
    account_id text REFERENCES accounts ON DELETE CASCADE,
    subscription_id text,
    state text NOT NULL CHECK (state IN ('open', 'unpaid', 'paid')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stripe_checkouts_subscription ON stripe_checkouts (subscription_id);
CREATE INDEX stripe_checkouts_account ON stripe_checkouts (account_id);

CREATE TABLE stripe_disputes (
    id text PRIMARY KEY,
    customer_id text NOT NULL REFERENCES stripe_customers ON DELETE CASCADE,
    charge_id text,
    status text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stripe_disputes_customer ON stripe_disputes (customer_id);

-- given_plan is the plan that a subscription gave, to be taken back when it ends; changes_at is when it is to be
-- decided anew without news, as at the end of a grace.
CREATE TABLE account_billing (
    account_id text PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    given_plan text REFERENCES plans,
    subscription_id text,
    changes_at timestamptz,
    decided_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX account_billing_changes ON account_billing (changes_at) WHERE changes_at IS NOT NULL;

-- What people must know of: refunds, disputes, claims that were refused, prices that no plan has.
CREATE TABLE billing_flags (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text REFERENCES accounts ON DELETE SET NULL,
    customer_id text,
    kind text NOT NULL,
    subject text NOT NULL,
    detail json,
    raised_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT billing_flags_once UNIQUE (kind, subject)
);
CREATE INDEX billing_flags_account ON billing_flags (account_id, id);

-- Where the reconciler is: cursor is the newest event that it has caught up with.
CREATE TABLE stripe_reconciliation (
    name text PRIMARY KEY,
    cursor text,
    ran_at timestamptz NOT NULL DEFAULT now()
);

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
