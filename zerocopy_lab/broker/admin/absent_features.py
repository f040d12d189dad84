"""What administrators' tools hear about features that are not here, so that they show an empty page
and no error: as a Kafka answers that has no authorizer, no quotas, no tokens, no transactions and
no reassignment under way.

Left out are the requests that would change any of that, but for access rules: a tool that is told
how to make a quota or a user should hear that it cannot, which an API that is not served says.
"""

from __future__ import annotations

from typing import Any

from zerocopy_lab.broker.serving import answers
from zerocopy_lab.errors import DelegationTokenAuthDisabled, ResourceNotFound, SecurityDisabled
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

_NO_AUTHORIZER = "No Authorizer is configured on the broker"  # Kafka's words: tools look for them


class AbsentFeatures:
    """Answers for what is not here."""

    @answers(ApiKey.describe_acls, 1, 3, "the same in all of them")
    def describe_acls(self, _request: Any, _context: Request) -> messages.Entity:
        """There are no rules that could be listed."""
        raise SecurityDisabled(_NO_AUTHORIZER)

    @answers(ApiKey.create_acls, 1, 3, "the same in all of them")
    def create_acls(self, request: Any, context: Request) -> messages.Entity:
        """No rule is made: nobody would look at it."""
        types = messages.response_types(context.api_key, context.api_version)
        refused = messages.make(types.AclCreationResult, **_security_disabled())
        return messages.make(types.CreateAclsResponse, results=(refused,) * len(request.creations))

    @answers(ApiKey.delete_acls, 1, 3, "the same in all of them")
    def delete_acls(self, request: Any, context: Request) -> messages.Entity:
        """No rule is there that could go."""
        types = messages.response_types(context.api_key, context.api_version)
        refused = messages.make(
            types.DeleteAclsFilterResult, **_security_disabled(), matching_acls=()
        )
        return messages.make(
            types.DeleteAclsResponse, filter_results=(refused,) * len(request.filters)
        )

    @answers(ApiKey.describe_client_quotas, 0, 1, "the same in both")
    def describe_client_quotas(self, _request: Any, context: Request) -> messages.Entity:
        """Nobody has a quota."""
        return _nothing(context, "DescribeClientQuotasResponse", entries=())

    @answers(ApiKey.describe_user_scram_credentials, 0, 0, "the only one")
    def describe_user_scram_credentials(self, request: Any, context: Request) -> messages.Entity:
        """Users are in the file that the broker was started with; none was made by a client."""
        types = messages.response_types(context.api_key, context.api_version)
        unknown = tuple(
            messages.make(
                types.DescribeUserScramCredentialsResult,
                user=user.name,
                error_code=messages.error_code(ResourceNotFound.code),
                error_message=f"{user.name} has no credentials that a client has made",
                credential_infos=(),
            )
            for user in request.users or ()
        )
        return _nothing(context, "DescribeUserScramCredentialsResponse", results=unknown)

    @answers(ApiKey.describe_delegation_token, 1, 3, "the same in all of them")
    def describe_delegation_token(self, _request: Any, _context: Request) -> messages.Entity:
        """Nobody can have a token."""
        raise DelegationTokenAuthDisabled("this broker knows no delegation tokens")

    @answers(ApiKey.list_transactions, 0, 2, "the same in all of them")
    def list_transactions(self, _request: Any, context: Request) -> messages.Entity:
        """None was ever begun."""
        return _nothing(
            context, "ListTransactionsResponse", unknown_state_filters=(), transaction_states=()
        )

    @answers(ApiKey.list_partition_reassignments, 0, 0, "the only one")
    def list_partition_reassignments(self, _request: Any, context: Request) -> messages.Entity:
        """A partition stays where it is."""
        return _nothing(context, "ListPartitionReassignmentsResponse", topics=())


def _nothing(context: Request, name: str, **values: object) -> messages.Entity:
    response_type = getattr(messages.response_types(context.api_key, context.api_version), name)
    code = messages.error_code(0)
    return messages.make(response_type, error_code=code, error_message=None, **values)


def _security_disabled() -> dict[str, Any]:
    return {
        "error_code": messages.error_code(SecurityDisabled.code),
        "error_message": _NO_AUTHORIZER,
    }
