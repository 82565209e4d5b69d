"""The QEMU command line of a guest with vhost-user network cards."""
import itertools
from dataclasses import dataclass, field

from .accel import accelerator
from .images import image

# A guest's memory must be shared with the switch. The other two are mistakes users make.
MEMORY = {
    "shared": "memory-backend-memfd,id=mem0,size={size}M,share=on",
    "private": "memory-backend-memfd,id=mem0,size={size}M,share=off",
    "ram": "memory-backend-ram,id=mem0,size={size}M",
}

_macs = itertools.count(1)


@dataclass
class Nic:
    """One virtio-net card.

    listens    who creates the socket: "vmm" (QEMU, and the switch connects) or "switch"
    queues     queue pairs the card offers; the guest enables as many as it has CPUs
    mtu        host_mtu, which the guest takes as its own MTU
    options    virtio-net properties, e.g. {"mrg_rxbuf": "off", "event_idx": "off"}
    reconnect  seconds between QEMU's attempts when the switch listens; 0: none
    """
    socket: str
    listens: str = "vmm"
    mac: str = ""
    queues: int = 1
    mtu: int = 0
    options: dict = field(default_factory=dict)
    reconnect: int = 1

    def __post_init__(self):
        if self.listens not in ("vmm", "switch"):
            raise ValueError(f"listens is vmm or switch, not {self.listens!r}")
        if not self.mac:
            number = next(_macs)
            self.mac = f"52:54:00:77:{number >> 8:02x}:{number & 255:02x}"

    def chardev(self, name):
        words = f"socket,id={name},path={self.socket}"
        if self.listens == "vmm":
            # wait=off is not heeded: QEMU's set-up of the card waits for the switch all the same.
            return words + ",server=on,wait=off"
        return words + (f",reconnect={self.reconnect}" if self.reconnect else "")

    def device(self, index, bus=""):
        # Without romfile= the boot ROM drives the card before the guest's own driver does.
        properties = {"netdev": f"net{index}", "id": f"nic{index}", "mac": self.mac, "romfile": ""}
        if bus:
            properties["bus"] = bus
        if self.queues > 1:
            properties.update(mq="on", vectors=2 * self.queues + 2)
        if self.mtu:
            properties["host_mtu"] = self.mtu
        properties.update(self.options)
        return properties

    def arguments(self, index):
        device = ",".join(f"{key}={value}" for key, value in self.device(index).items())
        return ["-chardev", self.chardev(f"vhost{index}"),
                "-netdev", f"vhost-user,id=net{index},chardev=vhost{index},queues={self.queues}",
                "-device", f"virtio-net-pci,{device}"]


def kernel_words(name, ip=(), mtu=None, words="", accel=None, vhost_user=True):
    """The kernel command line. ip: "eth0:10.0.0.1/24" or the address alone, which means eth0.
    vhost_user: whether it has such a card, or may get one."""
    line = ["console=ttyS0", "quiet", "panic=0", "mitigations=off", "random.trust_cpu=on",
            f"weir.name={name}"]
    if (accel or accelerator()) == "tcg":
        # Code that lies at another address each time is translated each time: to start a program of
        # Debian's takes three times as long.
        line += ["tsc=reliable", "no_timer_check", "norandmaps"]
        if vhost_user:
            # QEMU 7.2 crashes when a vhost-user card uses MSI-X and KVM is off.
            line.append("pci=nomsi")
    if isinstance(ip, str):
        ip = ip.split(",") if ip else []
    if ip:
        line.append("weir.ip=" + ",".join(one if one.startswith("eth") else f"eth0:{one}" for one in ip))
    if mtu:
        line.append(f"weir.mtu=eth0:{mtu}")
    return " ".join(line + ([words] if words else []))


def command(name, nics, folder, memory="shared", megabytes=192, cpus=1, ip=(), mtu=None, words="",
            spare_slots=0, spare_cards=0, extra=(), accel=None, found=None, terminal=False):
    """The words that start a guest; its sockets and console are files in `folder`.

    terminal: the console is the terminal QEMU runs in. spare_slots: how many DIMMs can be plugged in
    later, spare_cards: how many network cards (into the buses "spare0", "spare1", ...).
    """
    accel = accel or accelerator()
    found = found or image()
    if spare_slots:
        # Room for memory above 4 GiB makes Linux set 64 MiB aside for bouncing, which virtio never uses.
        words = f"swiotlb=noforce {words}".strip()
    argv = ["qemu-system-x86_64", "-name", f"guest={name},debug-threads=on",
            "-machine", f"q35,accel={accel},memory-backend=mem0,usb=off,vmport=off",
            # With erms the kernel copies by "rep movsb", which TCG does byte by byte.
            "-cpu", "host" if accel == "kvm" else "max,-erms", "-smp", str(cpus),
            "-m", f"{megabytes}M" + (f",slots={spare_slots},maxmem={megabytes * 4}M" if spare_slots else ""),
            "-object", MEMORY[memory].format(size=megabytes),
            "-nodefaults", "-no-user-config", "-display", "none",
            "-kernel", found.kernel, "-initrd", found.initrd,
            "-append", kernel_words(name, ip, mtu, words, accel, bool(nics or spare_cards)),
            "-chardev", ("stdio,id=console,mux=on,signal=off" if terminal
                         else f"file,id=console,path={folder}/console"), "-serial", "chardev:console",
            "-device", "virtio-serial-pci,id=serial0",
            "-chardev", f"socket,id=agent,path={folder}/agent,server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=weir.agent",
            "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
    for index, nic in enumerate(nics):
        argv += nic.arguments(index)
    for index in range(spare_cards):
        argv += ["-device", f"pcie-root-port,id=spare{index},chassis={index + 1},slot={index + 1}"]
    if terminal:
        argv += ["-mon", "console"]
    return argv + list(extra)
