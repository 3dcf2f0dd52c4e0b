"""Prometheus metrics of one service instance, in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Counter("booking_requests", "Requests answered.", ["route", "status", "code"], registry=r)
        self.request_seconds = Histogram(
            "booking_request_seconds", "Time to answer.", ["route"], registry=r, buckets=_LATENCY_BUCKETS_S
        )
        self.calcom_seconds = Histogram(
            "booking_calcom_seconds", "Time of Cal.com requests.", ["what"], registry=r, buckets=_LATENCY_BUCKETS_S
        )
        self.calcom_requests = Counter(
            "booking_calcom_requests", "Requests to Cal.com.", ["what", "result"], registry=r
        )
        self.slots_reads = Counter("booking_slots_reads", "Where free times came from.", ["source"], registry=r)
        self.locks = Counter("booking_locks", "Attempts to take a person's lock.", ["result"], registry=r)
        self.shed = Counter("booking_shed", "Requests refused for lack of capacity.", ["what"], registry=r)
        self.reconciled = Counter(
            "booking_reconciled", "Operations decided by the reconciler.", ["decision"], registry=r
        )
        self.reconciler_failures = Counter(
            "booking_reconciler_failures", "Reconciler rounds that could not finish.", registry=r
        )
        self.requests_in_progress = Gauge("booking_requests_in_progress", "Requests being answered.", registry=r)
        self.operations_in_progress = Gauge(
            "booking_operations_in_progress", "Bookings, cancels and moves at work, answered or not.", registry=r
        )
        self.pool_waiting = Gauge("booking_pool_waiting", "Callers waiting for a connection.", registry=r)
        self.pool_connections = Gauge("booking_pool_connections", "Open database connections.", registry=r)
        self.pending = Gauge("booking_pending", "Appointments whose outcome is open; NaN: not known.", registry=r)
        self.outbox_length = Gauge(
            "booking_outbox_length", "Operations not yet settled with Cal.com; NaN: not known.", registry=r
        )

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
