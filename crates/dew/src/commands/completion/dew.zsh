#compdef dew
# Completion of dew for zsh. To have it in every shell: source <(dew completion zsh), in ~/.zshrc; or as _dew in $fpath.
_dew() {
    local -a found
    local line
    for line in ${(f)"$(dew __complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)"}; do
        found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( ${#found} )); then _describe -V dew found; else _files; fi
}
if [[ $funcstack[1] == _dew ]]; then
    _dew "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _dew dew
fi
