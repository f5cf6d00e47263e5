// SPDX-License-Identifier: Apache-2.0
#include "control/host_interfaces/ingress_drop.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace meshgate::control {

namespace {

// Before what a firewall of the machine hangs there.
constexpr int32_t kPriority = -500;

// One transaction of nftables: what it asks for stands between a begin and an end.
class Transaction {
public:
    Transaction() { put(NFNL_MSG_BATCH_BEGIN, AF_UNSPEC, 0, NFNL_SUBSYS_NFTABLES); }

    nlmsghdr* add(uint16_t message, uint16_t flags) {
        return put(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message), NFPROTO_NETDEV,
                   static_cast<uint16_t>(NLM_F_ACK | flags), 0);
    }
    // 0, or an errno.
    int commit(mnl_socket* socket) {
        put(NFNL_MSG_BATCH_END, AF_UNSPEC, 0, NFNL_SUBSYS_NFTABLES);
        close_last();
        return ask(socket, buffer_.data(), len_);
    }

private:
    // Attributes are appended to the message that was put last.
    nlmsghdr* put(uint16_t type, uint8_t family, uint16_t flags, uint16_t resource) {
        close_last();
        last_ = mnl_nlmsg_put_header(buffer_.data() + len_);
        last_->nlmsg_type = type;
        last_->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
        auto* const message =
            static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(last_, sizeof(nfgenmsg)));
        message->nfgen_family = family;
        message->version = NFNETLINK_V0;
        message->res_id = htons(resource);
        return last_;
    }
    void close_last() {
        if (last_ != nullptr)
            len_ += MNL_ALIGN(last_->nlmsg_len);
        last_ = nullptr;
    }

    alignas(nlmsghdr) std::array<char, 1024> buffer_{};
    size_t len_ = 0;
    nlmsghdr* last_ = nullptr;
};

int take_hook(const nlattr* attribute, void* data) {
    if (mnl_attr_get_type(attribute) == NFTA_HOOK_DEV)
        *static_cast<bool*>(data) = true;
    return MNL_CB_OK;
}

int take_chain(const nlattr* attribute, void* data) {
    if (mnl_attr_get_type(attribute) == NFTA_CHAIN_HOOK)
        return mnl_attr_parse_nested(attribute, take_hook, data);
    return MNL_CB_OK;
}

// Of an interface that went, kernels from 6.4 on keep the chain, but without a device.
int find_device(const nlmsghdr* header, void* data) {
    return mnl_attr_parse(header, sizeof(nfgenmsg), take_chain, data);
}

std::string chain_of(const std::string& interface, unsigned index) {
    return interface + "-" + std::to_string(index);
}

}  // namespace

Result<IngressDrop> IngressDrop::create() {
    MnlSocket socket = open_netlink(NETLINK_NETFILTER);
    if (!socket)
        return fail(errno, "cannot open nftables");
    std::string table = "meshgate-" + std::to_string(getpid());
    Transaction transaction;
    nlmsghdr* const header = transaction.add(NFT_MSG_NEWTABLE, NLM_F_CREATE);
    mnl_attr_put_strz(header, NFTA_TABLE_NAME, table.c_str());
    mnl_attr_put_u32(header, NFTA_TABLE_FLAGS, htonl(NFT_TABLE_F_OWNER));
    if (const int status = transaction.commit(socket.get()); status != 0)
        return fail(status, "cannot make a table of nftables");
    return IngressDrop{std::move(socket), std::move(table)};
}

bool IngressDrop::covers(const std::string& interface, unsigned index) {
    alignas(nlmsghdr) std::array<char, 512> buffer{};
    nlmsghdr* const header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    auto* const message =
        static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
    message->nfgen_family = NFPROTO_NETDEV;
    mnl_attr_put_strz(header, NFTA_CHAIN_TABLE, table_.c_str());
    mnl_attr_put_strz(header, NFTA_CHAIN_NAME, chain_of(interface, index).c_str());
    bool has_device = false;
    return ask(socket_.get(), header, header->nlmsg_len, find_device, &has_device) == 0 &&
           has_device;
}

int IngressDrop::change_chain(Change change, const std::string& interface, unsigned index) {
    Transaction transaction;
    nlmsghdr* const header = change == Change::add
                                 ? transaction.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL)
                                 : transaction.add(NFT_MSG_DELCHAIN, 0);
    mnl_attr_put_strz(header, NFTA_CHAIN_TABLE, table_.c_str());
    mnl_attr_put_strz(header, NFTA_CHAIN_NAME, chain_of(interface, index).c_str());
    if (change == Change::add) {
        mnl_attr_put_strz(header, NFTA_CHAIN_TYPE, "filter");
        mnl_attr_put_u32(header, NFTA_CHAIN_POLICY, htonl(NF_DROP));
        nlattr* const hook = mnl_attr_nest_start(header, NFTA_CHAIN_HOOK);
        mnl_attr_put_u32(header, NFTA_HOOK_HOOKNUM, htonl(NF_NETDEV_INGRESS));
        mnl_attr_put_u32(header, NFTA_HOOK_PRIORITY, htonl(static_cast<uint32_t>(kPriority)));
        mnl_attr_put_strz(header, NFTA_HOOK_DEV, interface.c_str());
        mnl_attr_nest_end(header, hook);
    }
    return transaction.commit(socket_.get());
}

Result<void> IngressDrop::cover(const std::string& interface, unsigned index) {
    uncover(interface, index);  // of an interface that went, the kernel may keep an empty chain
    if (const int status = change_chain(Change::add, interface, index); status != 0)
        return fail(status, "cannot put a chain of nftables before " + interface);
    return {};
}

void IngressDrop::uncover(const std::string& interface, unsigned index) {
    change_chain(Change::remove, interface, index);
}

}  // namespace meshgate::control
