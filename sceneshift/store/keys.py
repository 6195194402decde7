"""Every Redis key, built here and nowhere else.

All keys begin with the setting `SCENESHIFT_KEY_PREFIX`, by default `{sceneshift}`: its braces are a hash tag, so that
on a cluster all keys lie on one shard, which the scripts need: a transition touches a job and the indexes together.

    key                          type     TTL                    written by       holds
    PREFIX:job:ID                hash     retention, when final  accept, advance, the record: short fields only
                                                                 begin, hand_out,
                                                                 postpone
    PREFIX:job:ID:order          string   retention, when final  accept           what the caller asked for (JSON)
    PREFIX:job:ID:results        string   retention, when final  advance          URLs, outputs, losses (JSON)
    PREFIX:job:ID:timeline       list     retention, when final  accept, advance  one JSON line per event
    PREFIX:job:ID:changes        channel  -                      accept, advance  a message per timeline entry
    PREFIX:job:ID:answer         string   retention              keep_answer      a submission's unreadable answer
    PREFIX:job:ID:answer:query   string   a day                  keep_answer      a query's, its beginning
    PREFIX:idempotency:HASH      string   retention, when final  accept           the job that the key belongs to
    PREFIX:delivery:ID           hash     retention, when ended  advance, settle, one webhook of the outbox
                                                                 begin, hand_out,
                                                                 resend
    PREFIX:delivery:ID:attempts  list     retention, when ended  settle           its last 20 attempts (JSON)
    PREFIX:lane:ID               hash     a week, when healthy   settle, *_lane,  an endpoint's health
                                                                 note_warning
    PREFIX:lane:ID:running       zset     ten minutes            *_lane, settle   delivery, by the end of its attempt
    PREFIX:lane:ID:waiting       zset     none                   *_lane, settle   delivery that waits for the endpoint,
                                                                                  by when its event occurred
    PREFIX:lane:ID:missed        zset     none                   *_lane, settle   delivery whose tries ended while the
                                                                                  endpoint was away, in that order
    PREFIX:lane:ID:retrying      zset     none                   *_lane, settle   delivery that failed and comes back by
                                                                                  its own schedule, in that order
    PREFIX:lanes:failing         zset     trimmed                *_lane, settle   lanes that are failing, disabled or
                                                                                  catching up, by since when
    PREFIX:lanes:looked_at       string   ten minutes            take_look        when they were last looked at
    PREFIX:webhook_counts        hash     none                   settle,          attempts and ends of deliveries by
                                                                 note_warning     result, and warnings by threshold
    PREFIX:endpoints             hash     none                   save_endpoint    named endpoints (JSON), by id
    PREFIX:endpoints:version     string   none                   save_endpoint    how often that has changed
    PREFIX:events                stream   trimmed to retention   advance          every event of every job, in order
    PREFIX:due                   zset     none                   all scripts      job or delivery, by its due time
    PREFIX:jobs:STATE            zset     trimmed when expired   accept, advance  job, by when it came into the state
    PREFIX:deliveries:exhausted  zset     trimmed when expired   settle           delivery, by when it was given up
    PREFIX:begun                 hash     none                   begin            messages begun, by task
    PREFIX:unknown_records       zset     trimmed                put_off,         jobs and deliveries that this release
                                                                 put_back         does not understand, by when it saw so
    PREFIX:rate:NAME             string   seconds                reserve, take    the time up to which permits are given
    PREFIX:waiting_for_slot      zset     trimmed                reserve          job, by when its claim to a slot ends
    PREFIX:lost_submissions      zset     trimmed                advance          submissions whose answers are lost, by
                                                                                  when the provider is done
    PREFIX:limits                hash     none                   operators        limits that replace the settings,
                                                                                  and NAME:by who set each
    PREFIX:pace:NAME             hash     none                   slow_down        the rate after a throttled answer
    PREFIX:breaker               hash     none                   reserve, note_*, why submissions are stopped
                                                                 begin_question
    PREFIX:latency:STEPS:OUTPUTS hash     none                   learn_latency    how long such jobs render
    PREFIX:result_keys:DAY:NN    hash     three days             advance          job, by a digest of its result key
    PREFIX:ledger:DAY            hash     400 days               advance, refund  submissions, by charge and state
    PREFIX:ledger:DAY:decisions  list     400 days               advance, refund  who decided what, why, at what cost
    PREFIX:resubmitted:DAY       string   two days               spend            images resubmitted by the policy
    PREFIX:outcomes:MINUTE       hash     ten minutes            advance          submissions, and those unknown
    PREFIX:generation            hash     none                   know_generation, the store's identity, and the last
                                                                 end_recovery     recovery
    PREFIX:witnesses             hash     none                   advance          intents stored, by worker process
    PREFIX:recovery              hash     until it ends          *_recovery,      why nothing is submitted, and what was
                                                                 note_merge       merged back
    PREFIX:disk_mark             string   none                   mark             the last time that the disk was asked
    PREFIX:provider:answers      hash     none                   count_answer     how often each odd answer came (JSON)
    PREFIX:provider:kept:CALL    zset     as its answers         keep_answer      keys of kept answers, by when
    PREFIX:bad_messages          hash     a week from the last   note             dropped messages, by queue and reason
    PREFIX:bad_messages:latest   hash     a week from the last   note             the latest of each, cut short (JSON)
    PREFIX:celery:*              -        -                      Celery           the broker's keys, when it is here too
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sceneshift.jobs.states import JobState
from sceneshift.provider.protocol import Endpoint


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one deployment."""

    prefix: str

    def job(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}"

    def order(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}:order"

    def results(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}:results"

    def timeline(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}:timeline"

    def changes(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}:changes"

    def answer(self, job_id: str, endpoint: Endpoint = Endpoint.SUBMIT) -> str:
        key = f"{self.prefix}:job:{job_id}:answer"
        return key if endpoint is Endpoint.SUBMIT else f"{key}:{endpoint}"

    def kept_answers(self, endpoint: Endpoint) -> str:
        return f"{self.prefix}:provider:kept:{endpoint}"

    def idempotency(self, key: str) -> str:
        # Hashed, because a caller's text must neither choose a key of ours nor make a long one.
        return f"{self.prefix}:idempotency:{_digest(key)}"

    def delivery(self, delivery_id: str) -> str:
        return f"{self.prefix}:delivery:{delivery_id}"

    def attempts(self, delivery_id: str) -> str:
        return f"{self.prefix}:delivery:{delivery_id}:attempts"

    def lane(self, lane_id: str) -> str:
        return f"{self.prefix}:lane:{lane_id}"

    def lane_running(self, lane_id: str) -> str:
        return f"{self.prefix}:lane:{lane_id}:running"

    def lane_waiting(self, lane_id: str) -> str:
        return f"{self.prefix}:lane:{lane_id}:waiting"

    def lane_missed(self, lane_id: str) -> str:
        return f"{self.prefix}:lane:{lane_id}:missed"

    def lane_retrying(self, lane_id: str) -> str:
        return f"{self.prefix}:lane:{lane_id}:retrying"

    @property
    def failing_lanes(self) -> str:
        return f"{self.prefix}:lanes:failing"

    @property
    def lanes_looked_at(self) -> str:
        return f"{self.prefix}:lanes:looked_at"

    @property
    def webhook_counts(self) -> str:
        return f"{self.prefix}:webhook_counts"

    def subject(self, subject_id: str) -> str:
        """The record behind a member of the due index: a job's or a delivery's."""
        return self.delivery(subject_id) if subject_id.startswith("dlv_") else self.job(subject_id)

    def jobs(self, state: JobState) -> str:
        return f"{self.prefix}:jobs:{state}"

    @property
    def waiting_for_slot(self) -> str:
        return f"{self.prefix}:waiting_for_slot"

    @property
    def lost_submissions(self) -> str:
        return f"{self.prefix}:lost_submissions"

    def rate(self, name: str) -> str:
        return f"{self.prefix}:rate:{name}"

    @property
    def limits(self) -> str:
        return f"{self.prefix}:limits"

    def pace(self, name: str) -> str:
        return f"{self.prefix}:pace:{name}"

    @property
    def breaker(self) -> str:
        return f"{self.prefix}:breaker"

    def latency(self, steps: int, outputs: int) -> str:
        return f"{self.prefix}:latency:{steps}:{outputs}"

    def result_keys(self, day: str, result_key: str) -> str:
        """One of 256 hashes of a day, which stay small and so are packed."""
        return f"{self.prefix}:result_keys:{day}:{_digest(result_key)[:2]}"

    def ledger(self, day: str) -> str:
        return f"{self.prefix}:ledger:{day}"

    def decisions(self, day: str) -> str:
        return f"{self.prefix}:ledger:{day}:decisions"

    def resubmitted(self, day: str) -> str:
        return f"{self.prefix}:resubmitted:{day}"

    def outcomes(self, minute: int) -> str:
        return f"{self.prefix}:outcomes:{minute}"

    @property
    def generation(self) -> str:
        return f"{self.prefix}:generation"

    @property
    def witnesses(self) -> str:
        return f"{self.prefix}:witnesses"

    @property
    def disk_mark(self) -> str:
        return f"{self.prefix}:disk_mark"

    @property
    def recovery(self) -> str:
        return f"{self.prefix}:recovery"

    @property
    def due(self) -> str:
        return f"{self.prefix}:due"

    @property
    def endpoints(self) -> str:
        return f"{self.prefix}:endpoints"

    @property
    def endpoints_version(self) -> str:
        return f"{self.prefix}:endpoints:version"

    @property
    def events(self) -> str:
        return f"{self.prefix}:events"

    @property
    def exhausted_deliveries(self) -> str:
        return f"{self.prefix}:deliveries:exhausted"

    @property
    def begun(self) -> str:
        return f"{self.prefix}:begun"

    @property
    def unknown_records(self) -> str:
        return f"{self.prefix}:unknown_records"

    @property
    def provider_answers(self) -> str:
        return f"{self.prefix}:provider:answers"

    @property
    def bad_messages(self) -> str:
        return f"{self.prefix}:bad_messages"

    @property
    def latest_bad_messages(self) -> str:
        return f"{self.prefix}:bad_messages:latest"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
