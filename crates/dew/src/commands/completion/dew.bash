# Completion of dew for bash. To have it in every shell: source <(dew completion bash), in ~/.bashrc.
_dew() {
    local line word words=() last=-1 index cut= quoted=
    # Bash divides words at = and : too, which are parts of a word here; what stands before the last one stays as it is.
    local breaks=${COMP_WORDBREAKS//[^=:]/} rest=${COMP_LINE:0:COMP_POINT}
    rest=${rest#*"${COMP_WORDS[0]}"}
    for ((index = 1; index <= COMP_CWORD; index++)); do
        if [[ $last -lt 0 || $rest == [[:blank:]]* ]]; then
            rest=${rest#"${rest%%[![:blank:]]*}"}
            words[++last]=
        fi
        word=${COMP_WORDS[index]}
        ((index < COMP_CWORD)) || word=$rest
        words[last]+=$word
        rest=${rest#"$word"}
    done
    case ${words[last]} in
    [\"\']*) quoted=yes ;;
    *["$breaks"]*) [[ -z $breaks ]] || cut=${words[last]%"${words[last]##*["$breaks"]}"} ;;
    esac
    COMPREPLY=()
    while IFS=$'\t' read -r line word; do
        line=${line#"$cut"}
        [[ -n $quoted || $line != *[!A-Za-z0-9_.,:=@/+-]* ]] || printf -v line %q "$line"
        COMPREPLY+=("$line")
    done < <(dew __complete -- "${words[@]//[\\\"\']/}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 0 ]]; then compopt -o default; else compopt -o nosort; fi
}
complete -F _dew dew
