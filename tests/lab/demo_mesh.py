# SPDX-License-Identifier: Apache-2.0
r"""Five boxes that were given one signed network file, and what they lose when something fails.

    frankfurt, london     relays with a public address each
    berlin, munich        behind NATs that do not let strangers in: berlin's keeps the port, munich's
                          takes another one for each destination, so that no direct way exists
    vienna                two uplinks with public addresses
    h-NAME                a host behind each: 10.1.0.10 behind frankfurt ... 10.5.0.10 behind vienna

Streams of 100 packets a second go between all hosts while a link is cut silently, a relay is killed
and a member is revoked. Every host and box is a network namespace.
"""

import signal
import time
from dataclasses import dataclass

from lab import LabError, wait_for
from mesh import Mesh

RATE = 100
BEFORE_SECONDS = 1.0   # of a stream, until the event
REPAIR_SECONDS = 20    # after that a way that was not found counts as none
REVOKE_SECONDS = 5     # within which a revoked member is to be cut off everywhere
SETTLED_SECONDS = 1.0

HEADER = f"{'event':44} {'lost':>6} {'offered':>8} {'outage':>9}"


@dataclass
class Event:
    event: str
    lost: int
    offered: int
    outage_ms: float
    flows_again: bool = True
    cut_after_ms: float | None = None  # of a revoked member: until its last packet

    def row(self):
        mark = "" if self.flows_again else "  DOES NOT FLOW AGAIN"
        if self.cut_after_ms is not None:
            mark += f"  (its last packet after {self.cut_after_ms:.0f} ms)"
        return f"{self.event:44} {self.lost:6} {self.offered:8} {self.outage_ms:6.0f} ms{mark}"

    def json(self):
        answer = {"event": self.event, "lost": self.lost, "offered": self.offered,
                  "outage_ms": self.outage_ms}
        if self.cut_after_ms is not None:
            answer["cut_after_ms"] = self.cut_after_ms
        return answer


class MeshDemo:
    drawing = __doc__.split("\n\n")[1] + "\n\n    " + \
        " ".join(__doc__.split("\n\n")[2].split())

    def __init__(self, lab):
        self.lab = lab
        self.mesh = Mesh(lab)
        self.boxes = self.mesh.boxes
        self.hosts = {}
        self.complaints = []

    def build(self):
        for name, relay, nats in (("frankfurt", True, ["none"]), ("london", True, ["none"]),
                                  ("berlin", False, ["restricted"]),
                                  ("munich", False, ["symmetric"]),
                                  ("vienna", False, ["none", "none"])):
            box = self.mesh.box(name, relay=relay, nats=nats)
            self.hosts[box.host.name] = box.host
        self.mesh.start()

    def play(self, say):
        """Builds it and shows it; whether all went well, and what --json prints."""
        started = time.monotonic()
        self.build()
        say(f"started after {time.monotonic() - started:.1f} s")
        self.mesh.reach(seconds=REPAIR_SECONDS)
        say(f"every host reaches every other after {time.monotonic() - started:.1f} s")
        self.wait_for_ways()
        self.show_paths(say)
        say(f"\n{HEADER}")
        events = []
        for event in (self.nothing_happens, self.link_is_cut, self.relay_is_killed,
                      self.member_is_revoked):
            events.append(event())
            say(events[-1].row())
        for complaint in self.complaints:
            say(f"WRONG: {complaint}")
        self.show_paths(say)
        ok = not self.complaints and all(event.flows_again for event in events)
        return ok, [event.json() for event in events]

    def alive(self):
        return [box for box in self.boxes.values() if box.process is not None]

    def wait_for_ways(self):
        """Until the measured ways are the ones in use."""
        vienna, frankfurt = self.boxes["vienna"], self.boxes["frankfurt"]
        self.mesh.wait_path(vienna, frankfurt, "direct", seconds=REPAIR_SECONDS)
        self.mesh.wait_path(frankfurt, vienna, "direct", seconds=REPAIR_SECONDS)
        self.mesh.wait_path(self.boxes["berlin"], self.boxes["munich"], "relay",
                            seconds=REPAIR_SECONDS)
        self.mesh.wait_path(self.boxes["munich"], self.boxes["berlin"], "relay",
                            seconds=REPAIR_SECONDS)

    def show_paths(self, say):
        for box in self.alive():
            say(f"\n$ meshgate show paths        (on {box.name})\n"
                f"{box.meshgate('show', 'paths', check=False).stdout.rstrip()}")

    def during(self, name, happen, staying):
        """Streams between all hosts, with the event in their midst: of those whose boxes stay, what
        was lost; of the others, when they ended."""
        streams = self.mesh.streams(self.alive(), rate=RATE)
        started = time.monotonic()
        time.sleep(BEFORE_SECONDS)
        happened = time.monotonic() - started
        happen()
        flows_again = True
        try:
            self.mesh.reach(staying, seconds=REPAIR_SECONDS)
        except LabError as reason:
            self.complaints.append(f"{name}: {reason}")
            flows_again = False
        time.sleep(SETTLED_SECONDS)
        outcome = streams.finish()
        hosts = {box.host.name for box in staying}
        stayed = outcome.of(lambda *pair: set(pair) <= hosts)
        left = outcome.of(lambda *pair: not set(pair) <= hosts)
        return Event(name, stayed.lost, stayed.offered, stayed.outage_ms, flows_again,
                     max(0, left.last_seconds - happened) * 1000 if left.results else None)

    def nothing_happens(self):
        return self.during("nothing", lambda: None, self.alive())

    def link_is_cut(self):
        """The one that vienna uses to frankfurt; the other uplink remains."""
        vienna, frankfurt = self.boxes["vienna"], self.boxes["frankfurt"]
        port = vienna.path_to("frankfurt")["port"]
        uplink = next(one for one in vienna.uplinks if one.interface == port)
        return self.during(f"link vienna {port} - frankfurt cut silently",
                           lambda: self.mesh.internet.cut(uplink, frankfurt), self.alive())

    def relay_is_killed(self):
        """The one that berlin uses to munich."""
        relay = self.boxes[self.boxes["berlin"].path_to("munich")["relay"]]
        staying = [box for box in self.alive() if box is not relay]
        event = self.during(f"relay {relay.name} killed", lambda: relay.stop(signal.SIGKILL), staying)
        event.cut_after_ms = None  # it was killed, not cut off
        return event

    def member_is_revoked(self):
        """By a new network file, given to one box."""
        revoked = self.boxes["vienna"]
        staying = [box for box in self.alive() if box is not revoked]
        self.mesh.write(members=[box for box in self.boxes.values() if box is not revoked])

        def revoke():
            pushed = time.monotonic()
            self.mesh.push(staying[0])
            self.check_cut(revoked, staying, pushed + REVOKE_SECONDS)
        return self.during(f"member {revoked.name} revoked", revoke, staying)

    def check_cut(self, revoked, staying, deadline):
        def answers():
            return [box.name for box in staying
                    if revoked.host.ping(box.host_address, count=1, wait=0.3)
                    or box.host.ping(revoked.host_address, count=1, wait=0.3)]
        try:
            wait_for(lambda: not answers(), lambda: f"the cut of {revoked.name}: {answers()}",
                     max(1, deadline - time.monotonic()) + REVOKE_SECONDS)
        except LabError as reason:
            self.complaints.append(str(reason))
