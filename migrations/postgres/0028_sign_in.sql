-- Browsers in which somebody is signed in, by a token that lets them in for as long as it holds.
create table sign_in (
    -- SHA-256 of what the browser keeps.
    hash text not null primary key,
    token_id uuid not null references token (id) on delete cascade,
    created_at timestamptz not null,
    last_seen_at timestamptz not null,
    expires_at timestamptz not null
);
create index sign_in_token on sign_in (token_id);
create index sign_in_expires on sign_in (expires_at);
