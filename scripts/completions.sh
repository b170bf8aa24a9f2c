#!/usr/bin/env bash
# Prints the completions of the built program for a shell, for its other names too: ArgumentParser, which
# generates them, knows none of these.
#
#   scripts/completions.sh SHELL TOOL NAME...      SHELL is bash, zsh or fish; a NAME such as zerodb-check
set -euo pipefail

readonly shell=$1 tool=$2
shift 2

generated=$("$tool" --generate-completion-script "$shell")
case $shell in
bash)
    # The first line is for programs, and shells read this.
    cat <<END
${generated#'#!/bin/bash'$'\n'}

# zerodb-check is zerodb check, and so on.
_zerodb_named() {
    local -r command="\${1##*/}"
    local -r line="zerodb \${command#zerodb-}\${COMP_LINE#"\${COMP_WORDS[0]}"}"
    COMP_POINT=\$((COMP_POINT + \${#line} - \${#COMP_LINE}))
    COMP_LINE="\${line}"
    COMP_WORDS=(zerodb "\${command#zerodb-}" "\${COMP_WORDS[@]:1}")
    COMP_CWORD=\$((COMP_CWORD + 1))
    _zerodb zerodb "\${2}" "\${3}"
}

complete -o filenames -F _zerodb_named $*
END
    ;;
zsh)
    # Where the function begins, its words become those of the program.
    # shellcheck disable=SC2016 # variables of zsh
    named='    if [[ "${service}" = zerodb-* ]]; then\n'
    # shellcheck disable=SC2016
    named+='        words=(zerodb "${service#zerodb-}" "${(@)words[2,-1]}")\n'
    named+='        (( CURRENT += 1 ))\n        service=zerodb\n    fi'
    sed -e "1s/^#compdef zerodb\$/#compdef zerodb $*/" \
        -e "/^_zerodb() {\$/,/^}\$/s/^    emulate .*\$/&\\n${named//&/\\&}/" <<<"$generated"
    ;;
fish)
    echo "$generated"
    for name in "$@"; do echo "complete -c '$name' -w 'zerodb ${name#zerodb-}'"; done
    ;;
esac
