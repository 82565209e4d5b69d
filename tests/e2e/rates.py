"""Rates of ports as tests set them and read them, and the workers that keep to them."""


def _set(kind, lan, port, rate):
    words = [f"rate.{kind}.{key}={value}" for key, value in rate.items()]
    lan.switch.ctl("port", "set", port, *(words or ["rate="]))


def set_from_vm(lan, port, **rate):
    """Keys of `rate.from-vm`, the others stay; without any the port has no rate, either way."""
    _set("from-vm", lan, port, rate)


def set_to_vm(lan, port, **rate):
    """The same of `rate.to-vm`."""
    _set("to-vm", lan, port, rate)


def rate_of(lan, port, kind="to-vm"):
    """What `rate show` says of it."""
    return next(one for one in lan.switch.json("rate", "show", port)["rates"] if one["kind"] == kind)


def worker(switch, number=0):
    return switch.json("status")["workers"][number]


def sleeps(switch, number):
    """Whether a worker sleeps: it has not polled from one look to the next."""
    return worker(switch, number)["polls"] == worker(switch, number)["polls"]
