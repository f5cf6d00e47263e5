// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/packet/batch.h"
#include "dataplane/worker/worker.h"

namespace meshgate {

// Entry points of the pipeline. Each takes the batch, and leaves it empty.

// A burst from a wan port.
void run_underlay(Worker& worker, const Snapshot& snapshot, PortId port, Batch& batch) noexcept;
// A burst from a lan port.
void run_overlay(Worker& worker, const Snapshot& snapshot, PortId port, Batch& batch) noexcept;
// A burst from a port that is both.
void run_one_arm(Worker& worker, const Snapshot& snapshot, PortId port, Batch& batch) noexcept;
// Fragments that this worker puts together.
void run_reassembly(Worker& worker, const Snapshot& snapshot, Batch& fragments) noexcept;
// Transport data for receiver indices that this worker owns.
void run_decapsulation(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept;
// Overlay IP packets, wherever they came from, to wherever they go.
void run_forwarding(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept;
// Overlay packets whose peer is known already: those that waited for a session, and keepalives.
void run_sealing(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept;
// Probes of control: by the link or of the size that they try.
void run_probes(Worker& worker, Batch& batch) noexcept;
// What the machine's kernel sends into the network.
void run_from_host(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept;

}  // namespace meshgate
