# SPDX-License-Identifier: Apache-2.0
# Completion of meshgate(8) for bash.

_meshgate_names() {
    # compgen -W expands what it is given, so only plain words may pass.
    meshgate show "$1" --timeout 1s 2>/dev/null |
        awk 'NR > 1 && NF == 0 {exit} NR > 1 && $1 ~ /^[A-Za-z0-9._:\/-]+$/ {print $1}'
}

_meshgate() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb='' noun='' i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --socket|--timeout|--format|--key|--authority) ((i++)) ;;
            -*) ;;
            *) if [[ -z $verb ]]; then verb=${COMP_WORDS[i]}; elif [[ -z $noun ]]; then noun=${COMP_WORDS[i]}; fi ;;
        esac
    done
    case $before in
        --socket|--key) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --format) mapfile -t COMPREPLY < <(compgen -W 'text gcc json' -- "$word"); return ;;
        --timeout|--authority) return ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--json --socket --timeout --no-color --help --version --all --format --key --authority --force' -- "$word")
    elif [[ -z $verb ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'status show explain reload check network genkey pubkey genpsk' -- "$word")
    elif [[ $verb == show && -z $noun ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'peers routes ports drops workers babel links paths members relays' -- "$word")
    elif [[ $verb == show ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_meshgate_names "$noun")" -- "$word")
    elif [[ $verb == explain ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_meshgate_names members)" -- "$word")
    elif [[ $verb == network && -z $noun ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'keygen sign verify show push' -- "$word")
    elif [[ $verb == check || $verb == network ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -F _meshgate meshgate
