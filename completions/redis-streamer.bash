# Completions of redis-streamer for bash. The program itself says what fits where the cursor is.

_redis_streamer() {
    local program how word prefix
    program=$(type -P -- "$1") || program=redis-streamer
    COMPREPLY=()
    {
        IFS= read -r how
        while IFS= read -r word; do COMPREPLY+=("$word"); done
    } <<<"$("$program" complete bash -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)"
    case $how in
        "command 1")
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -c -- "$2")
            ;;
        command*) compopt -o default ;;
        "directories "*) compopt -o dirnames ;;
        "files "*)
            prefix=${how#files }
            if [[ -n $prefix && $2 == "$prefix"* ]]; then
                compopt -o filenames
                while IFS= read -r word; do COMPREPLY+=("$prefix$word"); done < <(compgen -f -- "${2#"$prefix"}")
            else
                compopt -o default
            fi
            ;;
    esac
}

complete -F _redis_streamer redis-streamer
