# Completion of dew for fish. To have it in every shell: dew completion fish > ~/.config/fish/completions/dew.fish
function __dew_found
    set -l typed (commandline -ct | string replace -r '^["\']' '' | string unescape)
    set -g __dew_words (dew __complete -- (commandline -opc)[2..] "$typed" 2>/dev/null)
    test (count $__dew_words) -gt 0
end
# Where nothing is found, files are.
complete -c dew -n __dew_found -f -a '$__dew_words'
