"""What a settings file may say: one record a block."""

from typing import Annotated

from pydantic import Field

from proxy.buildkit.isolation import Isolation
from proxy.caller import DEFAULT_POLICY
from proxy.identity.methods import jwt, mtls
from proxy.identity.rules import PolicyName, Rule, TenantName
from proxy.issuer.settings import IssuerSettings
from proxy.limits.tenant import Limits
from proxy.policy.settings import PolicySettings
from proxy.record import Record
from proxy.routing.routes import Routes, Used
from proxy.settings.admin import Admin
from proxy.settings.audit import Audit
from proxy.settings.drain import Drain
from proxy.settings.listen import Listen
from proxy.settings.log import Log
from proxy.settings.nothing import OrNothing
from proxy.settings.store import Store
from proxy.settings.tenants import AnyTenant
from proxy.settings.tls import Tls
from proxy.settings.upstream import PoolName, PoolSettings, Upstream

Method = Annotated[jwt.Config | mtls.Config, Field(discriminator="type")]


class Settings(Record):
    """Settings of kilngate. Files are named relative to this file; nothing is read from the environment."""

    listen: Listen = Listen()
    """The public port."""
    tls: Tls
    """What the public port shows, and demands."""
    upstream: Upstream = Upstream()
    """The build daemon of all tenants without a pool."""
    pools: Annotated[dict[PoolName, PoolSettings], Field(default_factory=dict)]
    """Other build daemons, by name; tenants name theirs."""
    auth: tuple[Method, ...] = ()
    """The ways to prove who you are, asked in this order. Without one nobody is let in."""
    issuer: IssuerSettings | None = None
    """Short-lived client certificates for tokens; nothing is issued if not given."""
    store: Store = Store()
    """What must outlive a restart."""
    limits: Limits = Limits()
    """What each tenant may do at once, unless its own block says otherwise."""
    tenants: Annotated[dict[TenantName, AnyTenant], Field(default_factory=dict)]
    """Who shares the farm. A rule may name no other."""
    isolation: Isolation = Isolation()
    """How tenants of one daemon are kept apart."""
    policies: Annotated[dict[PolicyName, Annotated[PolicySettings, OrNothing]], Field(default_factory=dict)]
    """What builds may ask for. The one called `default` is there even if it is not written."""
    admin: Admin = Admin()
    """The operator's port: metrics, health, version."""
    audit: Audit = Audit()
    """Who did what, for later."""
    log: Log = Log()
    """What the process says of itself."""
    drain: Drain = Drain()
    """How kilngate stops."""

    def limits_of(self, tenant: str) -> Limits:
        """Return the limits of `tenant`: its own where it gives them, else everybody's."""
        own = self.tenants[tenant].limits.model_dump(exclude_unset=True) if tenant in self.tenants else {}
        return Limits.model_validate({**self.limits.model_dump(), **own})

    @property
    def routes(self) -> Routes:
        """Which daemon each tenant has."""
        pools = {name: tenant.pool for name, tenant in self.tenants.items() if tenant.pool is not None}
        return Routes(self.upstream.standing, {name: self.pools[pool].named(pool) for name, pool in pools.items()})

    @property
    def daemons(self) -> Used:
        """The daemons that some tenant has."""
        return self.routes.used_by(self.tenants)

    def methods(self) -> tuple[Method, ...]:
        """Return `auth`, where each rule has a policy: its own, else its tenant's."""
        return tuple(
            method.model_copy(update={"rules": tuple(map(self._with_policy, method.rules))}) for method in self.auth
        )

    def all_policies(self) -> dict[str, PolicySettings]:
        """Return `policies`, the default one among them."""
        return {DEFAULT_POLICY: PolicySettings(), **self.policies}

    def _with_policy(self, rule: Rule) -> Rule:
        tenant = self.tenants.get(rule.tenant)
        policy = rule.policy or (tenant.policy if tenant else DEFAULT_POLICY)
        return rule.model_copy(update={"policy": policy})

    def warnings(self) -> list[str]:
        """Return what is allowed but perhaps not meant."""
        said = []
        if not self.admin.address.is_loopback:
            said.append(f"admin.address: whoever reaches {self.admin.address} reads the metrics of all tenants")
        if self.tls.strict and any(isinstance(method, jwt.Config) for method in self.auth):
            said.append("tls.strict: callers with a token but no certificate are turned away in the handshake")
        if self.isolation.definitions == "allow":
            said.append("isolation.definitions: a tenant that writes its own definitions reaches the others' caches")
        if self.issuer is not None:
            said += self._issuer_warnings()
        rules = [rule for method in self.methods() for rule in method.rules]
        mapped, judged = {rule.tenant for rule in rules}, {rule.policy for rule in rules}
        said += [f"tenants.{name}: no rule maps anybody to this tenant" for name in self.tenants if name not in mapped]
        used = {tenant.pool for tenant in self.tenants.values()}
        said += [f"pools.{name}: no tenant builds here" for name in self.pools if name not in used]
        said += [f"policies.{name}: nobody's builds are judged by it" for name in self.policies if name not in judged]
        said += [
            f"policies.{name}.frontends.syntax_line: any image that a Dockerfile names can make the definition"
            for name, policy in self.policies.items()
            if policy.frontends.syntax_line == "follow"
        ]
        return said

    def _issuer_warnings(self) -> list[str]:
        said = []
        if self.store.file is None:
            said.append("issuer: a restart forgets used tokens and revocations; store.file keeps them")
        if not any(isinstance(method, jwt.Config) for method in self.auth):
            said.append("issuer: no method in auth takes tokens, so that nobody can ask for a certificate")
        if not any(isinstance(method, mtls.Config) and method.issued for method in self.auth):
            said.append("issuer: no method in auth has issued: true, so that rules judge what is issued")
        return said
