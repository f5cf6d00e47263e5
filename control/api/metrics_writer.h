// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <ostream>
#include <vector>

#include "control/api/state_provider.h"

namespace meshgate::control::metrics {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// One family, written out when it goes out of scope, so that the largest family and not their sum
// is what a scrape holds in memory.
class Family {
public:
    Family(std::ostream& out, MetricType type, const char* name, const char* help) : out_{out} {
        family_.front().name = name;
        family_.front().help = help;
        family_.front().type = type;
    }
    Family(const Family&) = delete;
    Family& operator=(const Family&) = delete;
    ~Family() {
        // The serializer would write a family without samples as a bare help text.
        if (!family_.front().metric.empty())
            prometheus::TextSerializer{}.Serialize(out_, family_);
    }

    template <typename Number>
    void add(Labels labels, Number value) {
        ClientMetric metric;
        metric.label = std::move(labels);
        (family_.front().type == MetricType::Counter ? metric.counter.value : metric.gauge.value) =
            static_cast<double>(value);
        family_.front().metric.push_back(std::move(metric));
    }

private:
    std::ostream& out_;
    std::vector<MetricFamily> family_{1};
};

struct Writer {
    std::ostream& out;

    Family counter(const char* name, const char* help) const {
        return {out, MetricType::Counter, name, help};
    }
    Family gauge(const char* name, const char* help) const {
        return {out, MetricType::Gauge, name, help};
    }
    template <typename Number>
    void single(const char* name, const char* help, Number value) const {
        gauge(name, help).add({}, value);
    }
    // One sample per view, labelled by what `labels` makes of it.
    template <typename View, typename LabelsOf, typename ValueOf>
    void each_counter(const char* name, const char* help, const std::vector<View>& views,
                      LabelsOf labels, ValueOf value) const {
        Family family = counter(name, help);
        for (const View& view : views)
            family.add(labels(view), value(view));
    }
    template <typename View, typename LabelsOf, typename ValueOf>
    void each_gauge(const char* name, const char* help, const std::vector<View>& views,
                    LabelsOf labels, ValueOf value) const {
        Family family = gauge(name, help);
        for (const View& view : views)
            family.add(labels(view), value(view));
    }
};

// The families of the mesh.
void write_mesh(const Writer& writer, StateProvider& state);
// Those of routers of other makes.
void write_babel(const Writer& writer, const BabelView& babel);
// How each peer's datagrams travel: peers of the box file and members alike.
void write_peer_paths(const Writer& writer, const std::vector<PeerView>& peers,
                      const std::vector<MeshPathView>& paths);

}  // namespace meshgate::control::metrics
