# Completion of weirctl in bash. What may stand where is known to weirctl itself, and names come from
# the running switch: `weirctl complete LINE` prints them, or a colon where a file is due.

_weirctl() {
    local line=${COMP_LINE:0:COMP_POINT}
    line=${line#*"$1"}
    mapfile -t COMPREPLY < <("${1/#\~/$HOME}" complete "$line" 2>/dev/null)

    local typed=${line##*[[:space:]]}
    if [[ ${COMPREPLY[0]-} == : ]]; then
        # Of --socket=PATH only the path is a file's.
        [[ $typed == -*=* ]] && typed=${typed#*=}
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$typed")
        return
    fi
    # Readline replaces only what is behind its last word break.
    if [[ $COMP_WORDBREAKS == *=* && $typed == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${typed%"${typed##*=}"}"}")
    fi
    # A key is to be followed by its value.
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
    return 0
}

complete -F _weirctl weirctl
