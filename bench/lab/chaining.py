"""Chains of network functions (NFs), the same for each side that can: what goes between the first two ports
visits them, one after the other, and replies go back the same way. NFs' ports are the generator's, behind
the two; what comes to one goes out on the other side, unchanged."""
from typing import NamedTuple

from .tracking import SERVER_PORT

NAME = "chain"


class Chain(NamedTuple):
    hops: int
    instances: int = 1          # of each hop
    one_armed: bool = False     # an NF has one port, not two
    inside: bool = False        # hops are groups of Weir's own instead of VMs

    def arms(self):
        return 1 if self.one_armed else 2

    def relays(self):
        """Ports of NFs."""
        return 0 if self.inside else self.hops * self.instances * self.arms()

    def visited(self):
        """NFs that a packet visits."""
        return 0 if self.inside else self.hops

    def text(self):
        words = [f"{self.hops} hop{'s' if self.hops > 1 else ''}"]
        words += [f"{self.instances} instances"] if self.instances > 1 else []
        words += ["one-armed"] if self.one_armed else []
        words += ["inside"] if self.inside else []
        return "chain of " + ", ".join(words)


def numbers(chain, first):
    """[hop][instance] -> the numbers of its ports, left first, of which `first` is the first one's."""
    arms = chain.arms()
    return [[tuple(range(at, at + arms)) for at in (first + (hop * chain.instances + one) * arms
                                                    for one in range(chain.instances))]
            for hop in range(chain.hops)]


def instance(ports):
    names = [f"vm{number}" for number in ports]
    return {"port": names[0]} if len(names) == 1 else {"left": names[0], "right": names[1]}


def weir_chains(chain, first=2, without=()):
    """(the document's chains, and groups that they need). without: instances that are left out."""
    if chain.inside:
        groups = {f"hop{hop}": {"to-vm": [{"allow": proto, "dport": SERVER_PORT} for proto in ("tcp", "udp")]}
                  for hop in range(chain.hops)}
        hops = [{"nf": "weir-firewall", "groups": [name]} for name in groups]
    else:
        groups = {}
        hops = [{"nf": f"nf{hop}", "instances": [instance(ports) for place, ports in enumerate(instances)
                                                 if place not in without]}
                for hop, instances in enumerate(numbers(chain, first))]
    return {NAME: {"match": {"from": {"port": "vm0"}, "to": {"port": "vm1"}}, "hops": hops}}, groups


def weir_ports(chain, first=2):
    """{an NF's port: what it has beside its socket}. What comes back late to one that no chain names any more would
    else be learned there."""
    return {f"vm{first + number}": {"nf": True} for number in range(chain.relays())}
