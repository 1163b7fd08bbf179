"""Properties of every provider's module, as functions that take one with an account of it. Each fails by an assertion."""

from __future__ import annotations

from collections.abc import Callable

from integrations.tests.conformance import answers, leaving, news, order, words
from integrations.tests.conformance.subject import Subject, subject_of

__all__ = ["CHECKS", "Subject", "subject_of"]

CHECKS: list[Callable[[Subject], None]] = [
    leaving.null_never_leaves,
    leaving.values_keep_their_types,
    leaving.every_property_of_the_catalogue_can_leave,
    leaving.a_customer_without_identity_is_skipped_without_a_call,
    leaving.secrets_stay_in_their_places,
    leaving.requests_go_to_the_providers_own_host_over_https,
    leaving.packing_is_a_function_of_what_is_given,
    order.each_delivery_is_in_one_call_or_skipped_or_left,
    order.a_profile_travels_before_the_events_of_its_customer,
    order.calls_stay_within_the_limits,
    news.a_profile_is_pushed_once,
    news.attributes_are_held_or_left_alone,
    answers.no_answer_surprises_it,
    answers.no_json_surprises_it,
    answers.no_answer_to_a_check_surprises_it,
    words.default_names_are_names_that_it_takes,
    words.names_leave_as_they_were_shown,
    words.values_are_tidied_once,
    words.it_says_what_it_is,
    words.its_guide_leaves_no_field_out,
]
