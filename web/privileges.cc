// SPDX-License-Identifier: Apache-2.0
#include "web/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

namespace meshgate::web {
namespace {

Result<void> limit(int resource, rlim_t value) {
    const rlimit both{value, value};
    if (::setrlimit(static_cast<__rlimit_resource>(resource), &both) != 0)
        return fail(errno, "setrlimit");
    return {};
}

// The capabilities go with the user ids: the kernel clears them when all ids leave 0.
Result<void> become(const std::string& user) {
    const passwd* entry = ::getpwnam(user.c_str());
    if (entry == nullptr)
        return fail("there is no user " + user);
    if (entry->pw_uid == 0)
        return fail("user " + user + " is root");
    if (::setgroups(0, nullptr) != 0 ||
        ::setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0 ||
        ::setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0)
        return fail(errno, "become user " + user);
    if (::setuid(0) == 0)
        return fail("root can be had again after becoming " + user);
    return {};
}

}  // namespace

Result<void> drop_privileges(const std::string& user) {
    if (::geteuid() == 0) {
        if (auto done = become(user); !done)
            return done;
    }
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(errno, "no_new_privs");
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return fail(errno, "dumpable");
    if (auto done = limit(RLIMIT_CORE, 0); !done)
        return done;
    return limit(RLIMIT_NOFILE, 128);
}

}  // namespace meshgate::web
