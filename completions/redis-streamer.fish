# Completions of redis-streamer for fish. The program itself says what fits where the cursor is.

function __redis_streamer_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program (command -s -- $words[1]; or echo redis-streamer)
    set -l answer ($program complete fish -- $words $current 2>/dev/null)
    set -l how (string split -m 1 ' ' -- "$answer[1]")
    switch "$how[1]"
        case words
            string join \n -- $answer[2..-1]
        case files directories
            # What stands before the file in the same word, as in --cacert=FILE.
            set -l prefix $how[2]
            set -l path (string sub -s (math (string length -- "$prefix") + 1) -- $current)
            if test $how[1] = files
                __fish_complete_path $path
            else
                __fish_complete_directories $path
            end | string replace -r '^' -- "$prefix"
        case command
            # The command that handles messages, completed as one that is typed by itself.
            set -l first (math (count $words) + 2 - $how[2])
            complete -C (string join ' ' -- (string escape -- $words[$first..-1]) $current)
    end
end

complete -c redis-streamer -f -k -a '(__redis_streamer_complete)'
