-- The reference booking service's tables. Idempotent: run at every start and by `booking_service seed`.
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- Master data ------------------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS companies (
    id             bigint PRIMARY KEY,
    name           text NOT NULL,
    calcom_api_key text NOT NULL
);

CREATE TABLE IF NOT EXISTS branches (
    id         bigint PRIMARY KEY,
    company_id bigint NOT NULL REFERENCES companies,
    name       text NOT NULL,
    phone      text NOT NULL UNIQUE,
    time_zone  text NOT NULL
);

CREATE TABLE IF NOT EXISTS services (
    branch_id    bigint NOT NULL REFERENCES branches,
    id           bigint NOT NULL,
    company_id   bigint NOT NULL REFERENCES companies,
    name         text NOT NULL,
    duration_min integer NOT NULL CHECK (duration_min > 0),
    grid_min     integer NOT NULL CHECK (grid_min > 0),
    PRIMARY KEY (branch_id, id)
);

CREATE TABLE IF NOT EXISTS people (
    id              bigint PRIMARY KEY,
    company_id      bigint NOT NULL REFERENCES companies,
    branch_id       bigint NOT NULL REFERENCES branches,
    name            text NOT NULL,
    email           text NOT NULL,
    calcom_user_id  bigint NOT NULL,
    calcom_username text NOT NULL,
    opens_min       integer NOT NULL CHECK (opens_min BETWEEN 0 AND 1440),
    closes_min      integer NOT NULL CHECK (closes_min BETWEEN 0 AND 1440)
);

CREATE TABLE IF NOT EXISTS event_types (
    id         bigint PRIMARY KEY,
    company_id bigint NOT NULL REFERENCES companies,
    branch_id  bigint NOT NULL REFERENCES branches,
    person_id  bigint NOT NULL REFERENCES people,
    service_id bigint NOT NULL,
    slug       text NOT NULL,
    length_min integer NOT NULL CHECK (length_min > 0),
    offset_min integer NOT NULL DEFAULT 0 CHECK (offset_min >= 0),   -- a part of a service begins so long after it does
    FOREIGN KEY (branch_id, service_id) REFERENCES services,
    UNIQUE (person_id, service_id, offset_min)
);

-- Calls and customers ----------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS customers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id bigint NOT NULL REFERENCES companies,
    phone      text NOT NULL,
    name       text NOT NULL,
    UNIQUE (company_id, phone)
);

CREATE TABLE IF NOT EXISTS calls (
    company_id bigint NOT NULL REFERENCES companies,
    call_id    text NOT NULL,
    branch_id  bigint NOT NULL REFERENCES branches,
    phone      text NOT NULL,
    stage      smallint NOT NULL,   -- 1 started, 2 ended, 3 analyzed; never goes back
    transcript text,
    analysis   json,                -- as it came: jsonb refuses NUL and lone surrogates, which callers may send
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, call_id)
);

CREATE TABLE IF NOT EXISTS webhook_events (
    company_id bigint NOT NULL REFERENCES companies,
    call_id    text NOT NULL,
    event      text NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, call_id, event)
);

-- Appointments -----------------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS appointments (
    id            uuid PRIMARY KEY,
    company_id    bigint NOT NULL REFERENCES companies,
    branch_id     bigint NOT NULL REFERENCES branches,
    part_of       uuid REFERENCES appointments,   -- of a service with several parts: its first one
    person_id     bigint NOT NULL REFERENCES people,
    service_id    bigint NOT NULL,
    event_type_id bigint NOT NULL REFERENCES event_types,
    customer_id   bigint NOT NULL REFERENCES customers,
    phone         text NOT NULL,
    call_ref      text NOT NULL,
    request_ref   text,
    starts_at     timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL,
    moving_to     tstzrange,        -- where an undecided move goes: both ranges are held meanwhile
    held          tstzmultirange NOT NULL GENERATED ALWAYS AS (
        tstzmultirange(tstzrange(starts_at, ends_at, '[)'))
        + CASE WHEN moving_to IS NULL THEN '{}'::tstzmultirange ELSE tstzmultirange(moving_to) END
    ) STORED,
    state         text NOT NULL CHECK (state IN ('pending', 'live', 'cancelled')),
    actor         text NOT NULL CHECK (actor IN ('caller', 'service', 'external')),
    calcom_uid    text UNIQUE,
    replaces_uid  text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CHECK (starts_at < ends_at)
);

CREATE INDEX IF NOT EXISTS appointments_by_person ON appointments (person_id, starts_at) WHERE state <> 'cancelled';
CREATE INDEX IF NOT EXISTS appointments_parts ON appointments (part_of) WHERE part_of IS NOT NULL;
CREATE INDEX IF NOT EXISTS appointments_pending ON appointments (company_id) WHERE state = 'pending';

-- Bookings that people made directly in the calendar. Kept apart: they may overlap, and are nobody's appointment here.
CREATE TABLE IF NOT EXISTS external_bookings (
    calcom_uid text PRIMARY KEY,
    company_id bigint NOT NULL REFERENCES companies,
    person_id  bigint NOT NULL REFERENCES people,
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    state      text NOT NULL CHECK (state IN ('live', 'cancelled')),   -- never goes back to live
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (starts_at < ends_at)
);

CREATE INDEX IF NOT EXISTS external_bookings_by_person ON external_bookings (person_id, starts_at)
    WHERE state = 'live';

-- What is to be settled with Cal.com: written in the transaction that changes the appointment (an outbox), kept
-- afterwards as the record that makes a repeated function call harmless. `key` is dropped when nothing happened,
-- so that the same function call may be tried again.
CREATE TABLE IF NOT EXISTS operations (
    id             uuid PRIMARY KEY,
    company_id     bigint NOT NULL REFERENCES companies,
    appointment_id uuid NOT NULL REFERENCES appointments,
    kind           text NOT NULL CHECK (kind IN ('book', 'cancel', 'move', 'compensate')),
    state          text NOT NULL CHECK (state IN ('open', 'done', 'refused', 'failed', 'abandoned')),
    key            text UNIQUE,
    request_ref    text,
    calcom_uid     text,            -- the Cal.com booking to cancel or move; null for `book`
    reason         text,
    asked_at       timestamptz NOT NULL DEFAULT now(),
    resolved_at    timestamptz
);

CREATE UNIQUE INDEX IF NOT EXISTS operations_open ON operations (appointment_id) WHERE state = 'open';
CREATE INDEX IF NOT EXISTS operations_by_appointment ON operations (appointment_id);

-- History: every change of an appointment that others can see, append-only. ------------------------------------------

CREATE TABLE IF NOT EXISTS appointment_history (
    seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    appointment_id uuid NOT NULL,
    calcom_uid     text,
    replaces_uid   text,
    request_ref    text,
    call_ref       text NOT NULL,
    phone          text NOT NULL,
    company_id     bigint NOT NULL,
    person_id      bigint NOT NULL,
    starts_at      timestamptz NOT NULL,
    ends_at        timestamptz NOT NULL,
    state          text NOT NULL,
    actor          text NOT NULL
);

CREATE OR REPLACE FUNCTION record_appointment_history() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    seen appointments;
BEGIN
    IF TG_OP = 'DELETE' THEN
        seen := OLD;
        seen.state := 'cancelled';
    ELSE
        seen := NEW;
    END IF;
    INSERT INTO appointment_history (appointment_id, calcom_uid, replaces_uid, request_ref, call_ref, phone,
                                     company_id, person_id, starts_at, ends_at, state, actor)
    VALUES (seen.id, seen.calcom_uid, seen.replaces_uid, seen.request_ref, seen.call_ref, seen.phone,
            seen.company_id, seen.person_id, seen.starts_at, seen.ends_at, seen.state, seen.actor);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER appointment_history_inserted AFTER INSERT OR DELETE ON appointments
    FOR EACH ROW EXECUTE FUNCTION record_appointment_history();

CREATE OR REPLACE TRIGGER appointment_history_updated AFTER UPDATE ON appointments
    FOR EACH ROW
    WHEN ((OLD.calcom_uid, OLD.replaces_uid, OLD.starts_at, OLD.ends_at, OLD.state, OLD.actor, OLD.person_id)
          IS DISTINCT FROM
          (NEW.calcom_uid, NEW.replaces_uid, NEW.starts_at, NEW.ends_at, NEW.state, NEW.actor, NEW.person_id))
    EXECUTE FUNCTION record_appointment_history();

CREATE OR REPLACE FUNCTION refuse_history_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'appointment_history is append-only';
END $$;

CREATE OR REPLACE TRIGGER appointment_history_append_only BEFORE UPDATE OR DELETE ON appointment_history
    FOR EACH ROW EXECUTE FUNCTION refuse_history_change();
