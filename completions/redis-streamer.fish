# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_redis_streamer_global_optspecs
    string join \n u/url= user= password-file= askpass sentinel-password-file= cacert= cert= cert-key= insecure connect-timeout= wait= q/quiet v/verbose color= h/help V/version
end

function __fish_redis_streamer_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_redis_streamer_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_redis_streamer_using_subcommand
    set -l cmd (__fish_redis_streamer_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -s u -l url -d 'Connect to the server at URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… (TLS), redis+unix:///PATH, redis+cluster://HOST,… or redis+sentinel://HOST,…/SERVICE; HOST:PORT alone will do [default: $REDIS_STREAMER_URL, $REDIS_URL, redis://127.0.0.1:6379]' -r
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -l user -d 'Authenticate as this ACL user' -r
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -l password-file -d 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -l sentinel-password-file -d 'Read the password of the sentinels from the first line of FILE' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -l cacert -d 'Trust the certificate authorities in FILE (PEM) instead of the system\'s' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -l cert -d 'Present the certificate in FILE (PEM) to the server' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -l cert-key -d 'Use the private key in FILE (PEM) with --cert' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -l connect-timeout -d 'Time limit for one connection attempt' -r
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -l wait -d 'Keep trying to make the first connection for DURATION, as for a server that is just starting' -r
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -l color -d 'When to colour what is printed' -r -f -a "auto\t'On a terminal, as far as NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM let it'
always\t'Always'
never\t'Never'"
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -l askpass -d 'Ask for the password at the terminal, without showing it'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -l insecure -d 'Do not check the server\'s certificate'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -s q -l quiet -d 'Print only warnings and errors on stderr'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -s v -l verbose -d 'Print on stderr what is being done'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -s V -l version -d 'Print version'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -f -a "send" -d 'Send one message to a stream, and print its ID'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -f -a "send-batch" -d 'Send many messages, from files or a pipe'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -f -a "subscribe" -d 'Create a consumer group if it does not exist, and the stream with it'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -f -a "consume" -d 'Print the messages of streams, or run a command for each'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -f -a "ack" -d 'Acknowledge messages, and print how many were pending'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -f -a "pending" -d 'Show what was delivered and not acknowledged, and how far behind groups are'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -f -a "man" -d 'Print the manual page, in troff'
complete -c redis-streamer -n "__fish_redis_streamer_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l name -d 'The message\'s name, such as user.created' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l text-file -d 'Send the text in FILE as a JSON string; - for stdin' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -s f -l field -d 'Add a field to the entry (repeatable)' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l key -d 'Choose the stream of a pattern by the message\'s key, which is at POINTER: /name, /fields/NAME, /body/…' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l id -d 'Use this entry ID instead of one made by the server' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l maxlen -d 'Trim the stream to its newest N entries' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l retention -d 'Trim entries older than DURATION' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l wait-replicas -d 'Succeed only once N replicas have what was sent' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l wait-timeout -d 'How long the server may take for --wait-replicas and --fsync' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -s u -l url -d 'Connect to the server at URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… (TLS), redis+unix:///PATH, redis+cluster://HOST,… or redis+sentinel://HOST,…/SERVICE; HOST:PORT alone will do [default: $REDIS_STREAMER_URL, $REDIS_URL, redis://127.0.0.1:6379]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l user -d 'Authenticate as this ACL user' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l password-file -d 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l sentinel-password-file -d 'Read the password of the sentinels from the first line of FILE' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l cacert -d 'Trust the certificate authorities in FILE (PEM) instead of the system\'s' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l cert -d 'Present the certificate in FILE (PEM) to the server' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l cert-key -d 'Use the private key in FILE (PEM) with --cert' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l connect-timeout -d 'Time limit for one connection attempt' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l wait -d 'Keep trying to make the first connection for DURATION, as for a server that is just starting' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l color -d 'When to colour what is printed' -r -f -a "auto\t'On a terminal, as far as NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM let it'
always\t'Always'
never\t'Never'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l text -d 'Send the body, as it stands, as a JSON string'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l fsync -d 'Succeed only once what was sent is on the server\'s disk, and on that of the replicas of --wait-replicas'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l no-create -d 'Fail if the stream does not exist, instead of creating it'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l askpass -d 'Ask for the password at the terminal, without showing it'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -l insecure -d 'Do not check the server\'s certificate'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -s q -l quiet -d 'Print only warnings and errors on stderr'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -s v -l verbose -d 'Print on stderr what is being done'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send" -s V -l version -d 'Print version'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l name -d 'Give every message this name; each line is then a body' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l key -d 'Send each line to the stream of a pattern that its key chooses, which is at POINTER: /name, /fields/NAME, /body/…' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l input -d 'What the input holds' -r -f -a "jsonl\t'Lines of JSON; blank lines are skipped'
text\t'Lines of text, sent as JSON strings; a blank line is a message too'
csv\t'Rows of CSV under a header, sent as objects'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l csv-delimiter -d 'What parts the columns of CSV, such as \';\', or \'\\t\' for a tab [default: ,]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -s f -l field -d 'Add a field to each entry (repeatable)' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l rejects -d 'Write lines that cannot be sent to FILE, unchanged, and go on' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l on-reject -d 'What to do at a line that cannot be sent [default: stop, or skip with --rejects]' -r -f -a "stop\t'End there'
skip\t'Leave it out and go on'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l rate -d 'Send at most N messages a second' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l maxlen -d 'Trim the stream to its newest N entries' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l retention -d 'Trim entries older than DURATION' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l receipts -d 'Write {"file","line","id"} for each entry to FILE' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l checkpoint -d 'Keep the progress in FILE: run again with the same input and FILE, continue where the last run ended' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l on-ambiguous -d 'What to do when it cannot be known whether lines were sent before the connection broke' -r -f -a "stop\t'End there'
repeat\t'Send it, perhaps again'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l wait-replicas -d 'Succeed only once N replicas have what was sent' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l wait-timeout -d 'How long the server may take for --wait-replicas and --fsync' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l reconnect-for -d 'Keep trying to reach a lost server for DURATION' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -s u -l url -d 'Connect to the server at URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… (TLS), redis+unix:///PATH, redis+cluster://HOST,… or redis+sentinel://HOST,…/SERVICE; HOST:PORT alone will do [default: $REDIS_STREAMER_URL, $REDIS_URL, redis://127.0.0.1:6379]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l user -d 'Authenticate as this ACL user' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l password-file -d 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l sentinel-password-file -d 'Read the password of the sentinels from the first line of FILE' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l cacert -d 'Trust the certificate authorities in FILE (PEM) instead of the system\'s' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l cert -d 'Present the certificate in FILE (PEM) to the server' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l cert-key -d 'Use the private key in FILE (PEM) with --cert' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l connect-timeout -d 'Time limit for one connection attempt' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l wait -d 'Keep trying to make the first connection for DURATION, as for a server that is just starting' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l color -d 'When to colour what is printed' -r -f -a "auto\t'On a terminal, as far as NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM let it'
always\t'Always'
never\t'Never'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l keep-ids -d 'Give each entry the ID in its line'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l ids -d 'Print the ID of each entry, in the order of the lines'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l json -d 'Print the summary as JSON, on stdout'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l fsync -d 'Succeed only once what was sent is on the server\'s disk, and on that of the replicas of --wait-replicas'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l askpass -d 'Ask for the password at the terminal, without showing it'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -l insecure -d 'Do not check the server\'s certificate'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -s q -l quiet -d 'Print only warnings and errors on stderr'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -s v -l verbose -d 'Print on stderr what is being done'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand send-batch" -s V -l version -d 'Print version'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -s g -l group -d 'The consumer group' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -s l -l listener -d 'The group by its listener\'s name: short for -g STREAM:NAME:cg' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l from -d 'Where the group begins: latest, beginning, an entry ID, a time (RFC 3339), or a time ago such as -15m' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -s u -l url -d 'Connect to the server at URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… (TLS), redis+unix:///PATH, redis+cluster://HOST,… or redis+sentinel://HOST,…/SERVICE; HOST:PORT alone will do [default: $REDIS_STREAMER_URL, $REDIS_URL, redis://127.0.0.1:6379]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l user -d 'Authenticate as this ACL user' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l password-file -d 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l sentinel-password-file -d 'Read the password of the sentinels from the first line of FILE' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l cacert -d 'Trust the certificate authorities in FILE (PEM) instead of the system\'s' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l cert -d 'Present the certificate in FILE (PEM) to the server' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l cert-key -d 'Use the private key in FILE (PEM) with --cert' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l connect-timeout -d 'Time limit for one connection attempt' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l wait -d 'Keep trying to make the first connection for DURATION, as for a server that is just starting' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l color -d 'When to colour what is printed' -r -f -a "auto\t'On a terminal, as far as NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM let it'
always\t'Always'
never\t'Never'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l reset -d 'Move an existing group to --from: what comes after is delivered, even if it was delivered before'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l askpass -d 'Ask for the password at the terminal, without showing it'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -l insecure -d 'Do not check the server\'s certificate'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -s q -l quiet -d 'Print only warnings and errors on stderr'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -s v -l verbose -d 'Print on stderr what is being done'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand subscribe" -s V -l version -d 'Print version'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -s g -l group -d 'The consumer group' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -s l -l listener -d 'The group by its listener\'s name: short for -g STREAM:NAME:cg' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -s n -l max -d 'End after N messages' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l timeout -d 'Fail (exit 4) if -n is not reached within DURATION' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l match -d 'Take only messages whose name matches GLOB (* and ?). In a group, the others are acknowledged unseen' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l count -d 'Read up to N entries at a time [default: as many as their sizes suggest, 1000 at most]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l block -d 'Let each read wait at the server for DURATION, in a group for a second at most' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l rest -d 'Pause for DURATION after reading all there is' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l reconnect-for -d 'Keep trying to reach a lost server for DURATION' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l from -d 'Begin at POINT: latest, beginning, an entry ID, a time (RFC 3339), or a time ago such as -15m [default: latest; beginning with --to]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l to -d 'End at POINT, which is included, without waiting for new messages' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l last -d 'Begin N entries before the end' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -s c -l consumer -d 'The consumer\'s name [default: a new one each time: LISTENER.HOST.PID.RANDOM]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l ack -d 'When a message is acknowledged' -r -f -a "success\t'When its line is written, or its command exited with 0: at least once'
manual\t'By the ack command alone: at least once'
read\t'As it is read: at most once'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l claim-idle -d 'Claim entries that other consumers left pending for DURATION; off claims only what they handed back [default: 5m; off with --ack manual]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l on-nogroup -d 'What to do when the group does not exist, or vanishes' -r -f -a "fail\t'Fail'
latest\t'Create it at the end of the stream'
beginning\t'Create it at the beginning: everything is delivered, perhaps again'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l dedup -d 'Process no entry twice within WINDOW [default: 7d], by the ledger of processed entries that the group keeps' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l jobs -d 'Run up to N handlers at a time, of all streams together' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l handler-timeout -d 'End a handler that runs longer than DURATION, with its whole process group: TERM, then KILL' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l retry-delay -d 'Wait for DURATION before trying a failed message again, twice as long each time, an hour at most' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l max-deliveries -d 'Try a message at most N times, then move it to --dead-letter [default: no limit]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l dead-letter -d 'Move messages that failed too often to STREAM, with where they came from and why' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -s u -l url -d 'Connect to the server at URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… (TLS), redis+unix:///PATH, redis+cluster://HOST,… or redis+sentinel://HOST,…/SERVICE; HOST:PORT alone will do [default: $REDIS_STREAMER_URL, $REDIS_URL, redis://127.0.0.1:6379]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l user -d 'Authenticate as this ACL user' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l password-file -d 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l sentinel-password-file -d 'Read the password of the sentinels from the first line of FILE' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l cacert -d 'Trust the certificate authorities in FILE (PEM) instead of the system\'s' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l cert -d 'Present the certificate in FILE (PEM) to the server' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l cert-key -d 'Use the private key in FILE (PEM) with --cert' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l connect-timeout -d 'Time limit for one connection attempt' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l wait -d 'Keep trying to make the first connection for DURATION, as for a server that is just starting' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l color -d 'When to colour what is printed' -r -f -a "auto\t'On a terminal, as far as NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM let it'
always\t'Always'
never\t'Never'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -s e -l exit-on-empty -d 'End once everything that was in the streams at the start is printed, or handled. Without --dead-letter, a message whose handler fails gets one try: it is handed back, and the exit code is 1'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l clean-env -d 'Give handlers only PATH, HOME, LANG, LC_*, TZ, USER, TMPDIR and the variables about the message: no credentials'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l askpass -d 'Ask for the password at the terminal, without showing it'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -l insecure -d 'Do not check the server\'s certificate'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -s q -l quiet -d 'Print only warnings and errors on stderr'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -s v -l verbose -d 'Print on stderr what is being done'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand consume" -s V -l version -d 'Print version'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -s g -l group -d 'The consumer group' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -s l -l listener -d 'The group by its listener\'s name: short for -g STREAM:NAME:cg' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l reconnect-for -d 'Keep trying to reach a lost server for DURATION' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -s u -l url -d 'Connect to the server at URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… (TLS), redis+unix:///PATH, redis+cluster://HOST,… or redis+sentinel://HOST,…/SERVICE; HOST:PORT alone will do [default: $REDIS_STREAMER_URL, $REDIS_URL, redis://127.0.0.1:6379]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l user -d 'Authenticate as this ACL user' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l password-file -d 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l sentinel-password-file -d 'Read the password of the sentinels from the first line of FILE' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l cacert -d 'Trust the certificate authorities in FILE (PEM) instead of the system\'s' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l cert -d 'Present the certificate in FILE (PEM) to the server' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l cert-key -d 'Use the private key in FILE (PEM) with --cert' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l connect-timeout -d 'Time limit for one connection attempt' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l wait -d 'Keep trying to make the first connection for DURATION, as for a server that is just starting' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l color -d 'When to colour what is printed' -r -f -a "auto\t'On a terminal, as far as NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM let it'
always\t'Always'
never\t'Never'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l strict -d 'Fail if any of them was not pending'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l askpass -d 'Ask for the password at the terminal, without showing it'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -l insecure -d 'Do not check the server\'s certificate'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -s q -l quiet -d 'Print only warnings and errors on stderr'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -s v -l verbose -d 'Print on stderr what is being done'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand ack" -s V -l version -d 'Print version'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -s g -l group -d 'The consumer group' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -s l -l listener -d 'The group by its listener\'s name: short for -g STREAM:NAME:cg' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l idle -d 'Show only entries of the group that have been idle for at least DURATION' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l consumer -d 'Show only this consumer of the group, and its entries' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -s n -l max-entries -d 'Show at most N entries of the group [default: 20; all with --json]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l max-lag -d 'Allow at most N entries still to be delivered; an unknown lag is too much' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l max-pending -d 'Allow at most N entries delivered and not acknowledged' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l max-idle -d 'Allow no pending entry to have been idle for longer than DURATION; entries that were handed back have no idle time, see --max-pending' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -s u -l url -d 'Connect to the server at URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… (TLS), redis+unix:///PATH, redis+cluster://HOST,… or redis+sentinel://HOST,…/SERVICE; HOST:PORT alone will do [default: $REDIS_STREAMER_URL, $REDIS_URL, redis://127.0.0.1:6379]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l user -d 'Authenticate as this ACL user' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l password-file -d 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l sentinel-password-file -d 'Read the password of the sentinels from the first line of FILE' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l cacert -d 'Trust the certificate authorities in FILE (PEM) instead of the system\'s' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l cert -d 'Present the certificate in FILE (PEM) to the server' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l cert-key -d 'Use the private key in FILE (PEM) with --cert' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l connect-timeout -d 'Time limit for one connection attempt' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l wait -d 'Keep trying to make the first connection for DURATION, as for a server that is just starting' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l color -d 'When to colour what is printed' -r -f -a "auto\t'On a terminal, as far as NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM let it'
always\t'Always'
never\t'Never'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l json -d 'Print one line of JSON'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l askpass -d 'Ask for the password at the terminal, without showing it'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -l insecure -d 'Do not check the server\'s certificate'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -s q -l quiet -d 'Print only warnings and errors on stderr'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -s v -l verbose -d 'Print on stderr what is being done'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand pending" -s V -l version -d 'Print version'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -s u -l url -d 'Connect to the server at URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… (TLS), redis+unix:///PATH, redis+cluster://HOST,… or redis+sentinel://HOST,…/SERVICE; HOST:PORT alone will do [default: $REDIS_STREAMER_URL, $REDIS_URL, redis://127.0.0.1:6379]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -l user -d 'Authenticate as this ACL user' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -l password-file -d 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -l sentinel-password-file -d 'Read the password of the sentinels from the first line of FILE' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -l cacert -d 'Trust the certificate authorities in FILE (PEM) instead of the system\'s' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -l cert -d 'Present the certificate in FILE (PEM) to the server' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -l cert-key -d 'Use the private key in FILE (PEM) with --cert' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -l connect-timeout -d 'Time limit for one connection attempt' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -l wait -d 'Keep trying to make the first connection for DURATION, as for a server that is just starting' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -l color -d 'When to colour what is printed' -r -f -a "auto\t'On a terminal, as far as NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM let it'
always\t'Always'
never\t'Never'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -l askpass -d 'Ask for the password at the terminal, without showing it'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -l insecure -d 'Do not check the server\'s certificate'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -s q -l quiet -d 'Print only warnings and errors on stderr'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -s v -l verbose -d 'Print on stderr what is being done'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand completions" -s V -l version -d 'Print version'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -s u -l url -d 'Connect to the server at URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… (TLS), redis+unix:///PATH, redis+cluster://HOST,… or redis+sentinel://HOST,…/SERVICE; HOST:PORT alone will do [default: $REDIS_STREAMER_URL, $REDIS_URL, redis://127.0.0.1:6379]' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -l user -d 'Authenticate as this ACL user' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -l password-file -d 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -l sentinel-password-file -d 'Read the password of the sentinels from the first line of FILE' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -l cacert -d 'Trust the certificate authorities in FILE (PEM) instead of the system\'s' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -l cert -d 'Present the certificate in FILE (PEM) to the server' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -l cert-key -d 'Use the private key in FILE (PEM) with --cert' -r -F
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -l connect-timeout -d 'Time limit for one connection attempt' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -l wait -d 'Keep trying to make the first connection for DURATION, as for a server that is just starting' -r
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -l color -d 'When to colour what is printed' -r -f -a "auto\t'On a terminal, as far as NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM let it'
always\t'Always'
never\t'Never'"
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -l askpass -d 'Ask for the password at the terminal, without showing it'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -l insecure -d 'Do not check the server\'s certificate'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -s q -l quiet -d 'Print only warnings and errors on stderr'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -s v -l verbose -d 'Print on stderr what is being done'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand man" -s V -l version -d 'Print version'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand help; and not __fish_seen_subcommand_from send send-batch subscribe consume ack pending completions man help" -f -a "send" -d 'Send one message to a stream, and print its ID'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand help; and not __fish_seen_subcommand_from send send-batch subscribe consume ack pending completions man help" -f -a "send-batch" -d 'Send many messages, from files or a pipe'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand help; and not __fish_seen_subcommand_from send send-batch subscribe consume ack pending completions man help" -f -a "subscribe" -d 'Create a consumer group if it does not exist, and the stream with it'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand help; and not __fish_seen_subcommand_from send send-batch subscribe consume ack pending completions man help" -f -a "consume" -d 'Print the messages of streams, or run a command for each'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand help; and not __fish_seen_subcommand_from send send-batch subscribe consume ack pending completions man help" -f -a "ack" -d 'Acknowledge messages, and print how many were pending'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand help; and not __fish_seen_subcommand_from send send-batch subscribe consume ack pending completions man help" -f -a "pending" -d 'Show what was delivered and not acknowledged, and how far behind groups are'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand help; and not __fish_seen_subcommand_from send send-batch subscribe consume ack pending completions man help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand help; and not __fish_seen_subcommand_from send send-batch subscribe consume ack pending completions man help" -f -a "man" -d 'Print the manual page, in troff'
complete -c redis-streamer -n "__fish_redis_streamer_using_subcommand help; and not __fish_seen_subcommand_from send send-batch subscribe consume ack pending completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
