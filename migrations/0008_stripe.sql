-- What Stripe told us, whom it bills for which account, and what follows from it.

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
