"""libvirt's XML for a guest."""
from xml.sax.saxutils import quoteattr

from .accel import accelerator
from .images import image
from .qemu import kernel_words

SHARED = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
MEMORY = {
    "shared": SHARED,
    "private": "<memoryBacking><source type='memfd'/></memoryBacking>",
    "ram": "",
}


def interface(nic):
    """<interface type='vhostuser'> for a qemu.Nic."""
    mode = "server" if nic.listens == "vmm" else "client"
    source = f"<source type='unix' path={quoteattr(nic.socket)} mode='{mode}'"
    if mode == "client" and nic.reconnect:
        source += f"><reconnect enabled='yes' timeout='{nic.reconnect}'/></source>"
    else:
        source += "/>"
    driver = {key: value for key, value in nic.options.items() if key in ("event_idx", "packed")}
    driver["queues"] = nic.queues
    host = {key: value for key, value in nic.options.items() if key == "mrg_rxbuf"}
    unknown = set(nic.options) - set(driver) - set(host)
    if unknown:
        raise ValueError(f"libvirt has no words for {sorted(unknown)}")
    attributes = "".join(f" {key}='{value}'" for key, value in driver.items())
    inner = "".join(f"<host {key}='{value}'/>" for key, value in host.items())
    mtu = f"<mtu size='{nic.mtu}'/>" if nic.mtu else ""
    return (f"<interface type='vhostuser'><mac address='{nic.mac}'/>{source}<model type='virtio'/>"
            f"<driver{attributes}>{inner}</driver>{mtu}<rom enabled='no'/></interface>")


def domain(name, interfaces=(), memory="shared", megabytes=192, cpus=1, ip=(), mtu=None, words="",
           console=None, accel=None, found=None):
    """A transient domain that boots the image. interfaces: XML texts, or qemu.Nic.

    memory: as for QEMU, or a <memoryBacking> element as text. console: a file; None: `virsh console`.
    """
    accel = accel or accelerator()
    found = found or image()
    cards = "\n    ".join(one if isinstance(one, str) else interface(one) for one in interfaces)
    cpu = "<cpu mode='host-passthrough'/>" if accel == "kvm" else "<cpu mode='maximum'/>"
    # libvirt gives a file it names to QEMU's user, so it must never be a device such as /dev/null.
    serial = (f"<serial type='file'><source path={quoteattr(console)}/></serial>" if console
              else "<serial type='pty'/>")
    return f"""<domain type='{'kvm' if accel == 'kvm' else 'qemu'}'>
  <name>{name}</name>
  <memory unit='MiB'>{megabytes}</memory>
  <vcpu>{cpus}</vcpu>
  {MEMORY.get(memory, memory)}
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{found.kernel}</kernel>
    <initrd>{found.initrd}</initrd>
    <cmdline>{kernel_words(name, ip, mtu, words, accel)}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  {cpu}
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <controller type='pci' model='pcie-root'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <memballoon model='none'/>
    {serial}
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    {cards}
  </devices>
</domain>
"""
