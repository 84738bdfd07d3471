
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'redis-streamer' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'redis-streamer'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'redis-streamer' {
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Authenticate as this ACL user')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]')
            [CompletionResult]::new('--sentinel-password-file', '--sentinel-password-file', [CompletionResultType]::ParameterName, 'Read the password of the sentinels from the first line of FILE')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificate authorities to trust (PEM) instead of the system''s')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for one connection attempt')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Keep trying to make the first connection for DURATION, as for a server that is just starting')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour what is printed')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Use a private server of your own, started when it is needed: the same as -u local:')
            [CompletionResult]::new('--askpass', '--askpass', [CompletionResultType]::ParameterName, 'Ask for the password at the terminal, without showing it')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not check the server''s certificate')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('send', 'send', [CompletionResultType]::ParameterValue, 'Send one message to a stream, and print its ID')
            [CompletionResult]::new('send-batch', 'send-batch', [CompletionResultType]::ParameterValue, 'Send many messages, from files or a pipe')
            [CompletionResult]::new('subscribe', 'subscribe', [CompletionResultType]::ParameterValue, 'Create a consumer group, and its stream, if it does not exist')
            [CompletionResult]::new('unsubscribe', 'unsubscribe', [CompletionResultType]::ParameterValue, 'Remove a consumer group, or a consumer of it')
            [CompletionResult]::new('consume', 'consume', [CompletionResultType]::ParameterValue, 'Print the messages of streams, or run a command for each')
            [CompletionResult]::new('ack', 'ack', [CompletionResultType]::ParameterValue, 'Acknowledge messages, and print how many were pending')
            [CompletionResult]::new('pending', 'pending', [CompletionResultType]::ParameterValue, 'Show what is pending, and how far behind groups are')
            [CompletionResult]::new('local', 'local', [CompletionResultType]::ParameterValue, 'Start or stop the private server of --local, or show whether it is at work')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print a manual page, in troff')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'redis-streamer;send' {
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'The message''s name, such as user.created')
            [CompletionResult]::new('--text-file', '--text-file', [CompletionResultType]::ParameterName, 'Send the text in FILE as a JSON string; - for stdin')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Add a field to the entry (repeatable)')
            [CompletionResult]::new('--field', '--field', [CompletionResultType]::ParameterName, 'Add a field to the entry (repeatable)')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Choose the stream of a pattern by the message''s key, which is at POINTER: /name, /fields/NAME, /body/…')
            [CompletionResult]::new('--id', '--id', [CompletionResultType]::ParameterName, 'Use this entry ID instead of one made by the server')
            [CompletionResult]::new('--maxlen', '--maxlen', [CompletionResultType]::ParameterName, 'Trim the stream to its newest N entries')
            [CompletionResult]::new('--retention', '--retention', [CompletionResultType]::ParameterName, 'Trim entries older than DURATION')
            [CompletionResult]::new('--wait-replicas', '--wait-replicas', [CompletionResultType]::ParameterName, 'Succeed only once N replicas have what was sent')
            [CompletionResult]::new('--wait-timeout', '--wait-timeout', [CompletionResultType]::ParameterName, 'Time limit for --wait-replicas and --fsync')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Authenticate as this ACL user')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]')
            [CompletionResult]::new('--sentinel-password-file', '--sentinel-password-file', [CompletionResultType]::ParameterName, 'Read the password of the sentinels from the first line of FILE')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificate authorities to trust (PEM) instead of the system''s')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for one connection attempt')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Keep trying to make the first connection for DURATION, as for a server that is just starting')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour what is printed')
            [CompletionResult]::new('--text', '--text', [CompletionResultType]::ParameterName, 'Send the body, as it stands, as a JSON string')
            [CompletionResult]::new('--fsync', '--fsync', [CompletionResultType]::ParameterName, 'Succeed only once what was sent is on the server''s disk, and on that of the replicas of --wait-replicas')
            [CompletionResult]::new('--no-create', '--no-create', [CompletionResultType]::ParameterName, 'Fail if the stream does not exist, instead of creating it')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Use a private server of your own, started when it is needed: the same as -u local:')
            [CompletionResult]::new('--askpass', '--askpass', [CompletionResultType]::ParameterName, 'Ask for the password at the terminal, without showing it')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not check the server''s certificate')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'redis-streamer;send-batch' {
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Name each message NAME; lines are bodies')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Send each line to the stream of a pattern that its key chooses, which is at POINTER: /name, /fields/NAME, /body/…')
            [CompletionResult]::new('--input', '--input', [CompletionResultType]::ParameterName, 'What the input holds: jsonl, text or csv')
            [CompletionResult]::new('--csv-delimiter', '--csv-delimiter', [CompletionResultType]::ParameterName, 'What parts the columns of CSV, such as '';'', or ''\t'' for a tab [default: ,]')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Add a field to each entry (repeatable)')
            [CompletionResult]::new('--field', '--field', [CompletionResultType]::ParameterName, 'Add a field to each entry (repeatable)')
            [CompletionResult]::new('--rejects', '--rejects', [CompletionResultType]::ParameterName, 'Write lines that cannot be sent to FILE')
            [CompletionResult]::new('--on-reject', '--on-reject', [CompletionResultType]::ParameterName, 'What to do at a line that cannot be sent [default: stop, or skip with --rejects]')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Send at most N messages a second')
            [CompletionResult]::new('--maxlen', '--maxlen', [CompletionResultType]::ParameterName, 'Trim the stream to its newest N entries')
            [CompletionResult]::new('--retention', '--retention', [CompletionResultType]::ParameterName, 'Trim entries older than DURATION')
            [CompletionResult]::new('--receipts', '--receipts', [CompletionResultType]::ParameterName, 'Write {"file","line","id"} for each entry to FILE')
            [CompletionResult]::new('--checkpoint', '--checkpoint', [CompletionResultType]::ParameterName, 'Keep the progress in FILE, to resume there')
            [CompletionResult]::new('--on-ambiguous', '--on-ambiguous', [CompletionResultType]::ParameterName, 'What to do when it cannot be known whether lines were sent before the connection broke')
            [CompletionResult]::new('--wait-replicas', '--wait-replicas', [CompletionResultType]::ParameterName, 'Succeed only once N replicas have what was sent')
            [CompletionResult]::new('--wait-timeout', '--wait-timeout', [CompletionResultType]::ParameterName, 'Time limit for --wait-replicas and --fsync')
            [CompletionResult]::new('--reconnect-for', '--reconnect-for', [CompletionResultType]::ParameterName, 'Keep trying to reach a lost server for DURATION')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Authenticate as this ACL user')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]')
            [CompletionResult]::new('--sentinel-password-file', '--sentinel-password-file', [CompletionResultType]::ParameterName, 'Read the password of the sentinels from the first line of FILE')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificate authorities to trust (PEM) instead of the system''s')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for one connection attempt')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Keep trying to make the first connection for DURATION, as for a server that is just starting')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour what is printed')
            [CompletionResult]::new('--keep-ids', '--keep-ids', [CompletionResultType]::ParameterName, 'Give each entry the ID in its line')
            [CompletionResult]::new('--ids', '--ids', [CompletionResultType]::ParameterName, 'Print the IDs, in the order of the lines')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print the summary as JSON, on stdout')
            [CompletionResult]::new('--fsync', '--fsync', [CompletionResultType]::ParameterName, 'Succeed only once what was sent is on the server''s disk, and on that of the replicas of --wait-replicas')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Use a private server of your own, started when it is needed: the same as -u local:')
            [CompletionResult]::new('--askpass', '--askpass', [CompletionResultType]::ParameterName, 'Ask for the password at the terminal, without showing it')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not check the server''s certificate')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'redis-streamer;subscribe' {
            [CompletionResult]::new('-g', '-g', [CompletionResultType]::ParameterName, 'The consumer group')
            [CompletionResult]::new('--group', '--group', [CompletionResultType]::ParameterName, 'The consumer group')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'The group STREAM:NAME:cg, by its listener')
            [CompletionResult]::new('--listener', '--listener', [CompletionResultType]::ParameterName, 'The group STREAM:NAME:cg, by its listener')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Where the group begins [default: latest]')
            [CompletionResult]::new('--to-group', '--to-group', [CompletionResultType]::ParameterName, 'Begin where another group, or listener, of the stream stands')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Authenticate as this ACL user')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]')
            [CompletionResult]::new('--sentinel-password-file', '--sentinel-password-file', [CompletionResultType]::ParameterName, 'Read the password of the sentinels from the first line of FILE')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificate authorities to trust (PEM) instead of the system''s')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for one connection attempt')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Keep trying to make the first connection for DURATION, as for a server that is just starting')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour what is printed')
            [CompletionResult]::new('--reset', '--reset', [CompletionResultType]::ParameterName, 'Move an existing group to --from, or --to-group')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Move it although the point is in the future')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Say what would be done, and how many entries come again or are skipped')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Use a private server of your own, started when it is needed: the same as -u local:')
            [CompletionResult]::new('--askpass', '--askpass', [CompletionResultType]::ParameterName, 'Ask for the password at the terminal, without showing it')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not check the server''s certificate')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'redis-streamer;unsubscribe' {
            [CompletionResult]::new('-g', '-g', [CompletionResultType]::ParameterName, 'The consumer group')
            [CompletionResult]::new('--group', '--group', [CompletionResultType]::ParameterName, 'The consumer group')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'The group STREAM:NAME:cg, by its listener')
            [CompletionResult]::new('--listener', '--listener', [CompletionResultType]::ParameterName, 'The group STREAM:NAME:cg, by its listener')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Remove this consumer, and leave the group; may be repeated')
            [CompletionResult]::new('--consumer', '--consumer', [CompletionResultType]::ParameterName, 'Remove this consumer, and leave the group; may be repeated')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Authenticate as this ACL user')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]')
            [CompletionResult]::new('--sentinel-password-file', '--sentinel-password-file', [CompletionResultType]::ParameterName, 'Read the password of the sentinels from the first line of FILE')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificate authorities to trust (PEM) instead of the system''s')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for one connection attempt')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Keep trying to make the first connection for DURATION, as for a server that is just starting')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour what is printed')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Remove it although something is lost with it, or it is at work')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Say what would be removed, and what is in the way')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one line of JSON')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Use a private server of your own, started when it is needed: the same as -u local:')
            [CompletionResult]::new('--askpass', '--askpass', [CompletionResultType]::ParameterName, 'Ask for the password at the terminal, without showing it')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not check the server''s certificate')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'redis-streamer;consume' {
            [CompletionResult]::new('-g', '-g', [CompletionResultType]::ParameterName, 'The consumer group')
            [CompletionResult]::new('--group', '--group', [CompletionResultType]::ParameterName, 'The consumer group')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'The group STREAM:NAME:cg, by its listener')
            [CompletionResult]::new('--listener', '--listener', [CompletionResultType]::ParameterName, 'The group STREAM:NAME:cg, by its listener')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'End after N messages')
            [CompletionResult]::new('--max', '--max', [CompletionResultType]::ParameterName, 'End after N messages')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Fail (exit 4) if -n takes longer')
            [CompletionResult]::new('--match', '--match', [CompletionResultType]::ParameterName, 'Take only messages whose name matches GLOB (* and ?). In a group, the others are acknowledged unseen')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'Read up to N entries at a time [default: as many as their sizes suggest, 1000 at most]')
            [CompletionResult]::new('--block', '--block', [CompletionResultType]::ParameterName, 'Let each read wait at the server for DURATION, in a group for a second at most')
            [CompletionResult]::new('--rest', '--rest', [CompletionResultType]::ParameterName, 'Pause for DURATION after reading all there is')
            [CompletionResult]::new('--reconnect-for', '--reconnect-for', [CompletionResultType]::ParameterName, 'Keep trying to reach a lost server for DURATION')
            [CompletionResult]::new('--template', '--template', [CompletionResultType]::ParameterName, 'Print each message so: ''{id} {body.user.id}''')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Begin at POINT, such as beginning or -15m')
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'Stop after POINT (inclusive), without waiting for new messages')
            [CompletionResult]::new('--last', '--last', [CompletionResultType]::ParameterName, 'Begin N entries before the end')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'The consumer''s name [default: a new one each time: LISTENER.HOST.PID.RANDOM]')
            [CompletionResult]::new('--consumer', '--consumer', [CompletionResultType]::ParameterName, 'The consumer''s name [default: a new one each time: LISTENER.HOST.PID.RANDOM]')
            [CompletionResult]::new('--ack', '--ack', [CompletionResultType]::ParameterName, 'When a message is acknowledged')
            [CompletionResult]::new('--claim-idle', '--claim-idle', [CompletionResultType]::ParameterName, 'Claim entries that other consumers left pending for DURATION; off claims only what they handed back [default: 5m; off with --ack manual]')
            [CompletionResult]::new('--on-nogroup', '--on-nogroup', [CompletionResultType]::ParameterName, 'What to do when the group does not exist, or vanishes')
            [CompletionResult]::new('--dedup', '--dedup', [CompletionResultType]::ParameterName, 'Process no entry twice within WINDOW [default: 7d], by the ledger of processed entries that the group keeps')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'Run up to N handlers at a time')
            [CompletionResult]::new('--handler-timeout', '--handler-timeout', [CompletionResultType]::ParameterName, 'End a handler that runs longer than DURATION, with its whole process group: TERM, then KILL')
            [CompletionResult]::new('--retry-delay', '--retry-delay', [CompletionResultType]::ParameterName, 'Wait for DURATION before trying a failed message again, twice as long each time, an hour at most')
            [CompletionResult]::new('--max-deliveries', '--max-deliveries', [CompletionResultType]::ParameterName, 'Try a message at most N times')
            [CompletionResult]::new('--dead-letter', '--dead-letter', [CompletionResultType]::ParameterName, 'Move what failed too often to STREAM')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Authenticate as this ACL user')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]')
            [CompletionResult]::new('--sentinel-password-file', '--sentinel-password-file', [CompletionResultType]::ParameterName, 'Read the password of the sentinels from the first line of FILE')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificate authorities to trust (PEM) instead of the system''s')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for one connection attempt')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Keep trying to make the first connection for DURATION, as for a server that is just starting')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour what is printed')
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'End once all that was there at the start is done')
            [CompletionResult]::new('--exit-on-empty', '--exit-on-empty', [CompletionResultType]::ParameterName, 'End once all that was there at the start is done')
            [CompletionResult]::new('--body', '--body', [CompletionResultType]::ParameterName, 'Print the body alone, one on each line')
            [CompletionResult]::new('--time', '--time', [CompletionResultType]::ParameterName, 'Add to each line the time at which the entry was added (RFC 3339)')
            [CompletionResult]::new('--pretty', '--pretty', [CompletionResultType]::ParameterName, 'Print JSON over several lines, indented')
            [CompletionResult]::new('-0', '-0', [CompletionResultType]::ParameterName, 'End each message with NUL instead of a line feed, for xargs -0')
            [CompletionResult]::new('--null', '--null', [CompletionResultType]::ParameterName, 'End each message with NUL instead of a line feed, for xargs -0')
            [CompletionResult]::new('--clean-env', '--clean-env', [CompletionResultType]::ParameterName, 'Give handlers only PATH, HOME, LANG, LC_*, TZ, USER, TMPDIR and the variables about the message: no credentials')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Use a private server of your own, started when it is needed: the same as -u local:')
            [CompletionResult]::new('--askpass', '--askpass', [CompletionResultType]::ParameterName, 'Ask for the password at the terminal, without showing it')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not check the server''s certificate')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'redis-streamer;ack' {
            [CompletionResult]::new('-g', '-g', [CompletionResultType]::ParameterName, 'The consumer group')
            [CompletionResult]::new('--group', '--group', [CompletionResultType]::ParameterName, 'The consumer group')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'The group STREAM:NAME:cg, by its listener')
            [CompletionResult]::new('--listener', '--listener', [CompletionResultType]::ParameterName, 'The group STREAM:NAME:cg, by its listener')
            [CompletionResult]::new('--reconnect-for', '--reconnect-for', [CompletionResultType]::ParameterName, 'Keep trying to reach a lost server for DURATION')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Authenticate as this ACL user')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]')
            [CompletionResult]::new('--sentinel-password-file', '--sentinel-password-file', [CompletionResultType]::ParameterName, 'Read the password of the sentinels from the first line of FILE')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificate authorities to trust (PEM) instead of the system''s')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for one connection attempt')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Keep trying to make the first connection for DURATION, as for a server that is just starting')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour what is printed')
            [CompletionResult]::new('--strict', '--strict', [CompletionResultType]::ParameterName, 'Fail if any of them was not pending')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Use a private server of your own, started when it is needed: the same as -u local:')
            [CompletionResult]::new('--askpass', '--askpass', [CompletionResultType]::ParameterName, 'Ask for the password at the terminal, without showing it')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not check the server''s certificate')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'redis-streamer;pending' {
            [CompletionResult]::new('-g', '-g', [CompletionResultType]::ParameterName, 'The consumer group')
            [CompletionResult]::new('--group', '--group', [CompletionResultType]::ParameterName, 'The consumer group')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'The group STREAM:NAME:cg, by its listener')
            [CompletionResult]::new('--listener', '--listener', [CompletionResultType]::ParameterName, 'The group STREAM:NAME:cg, by its listener')
            [CompletionResult]::new('--idle', '--idle', [CompletionResultType]::ParameterName, 'Show only entries idle for at least DURATION')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Show only this consumer, and its entries')
            [CompletionResult]::new('--consumer', '--consumer', [CompletionResultType]::ParameterName, 'Show only this consumer, and its entries')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Show at most N entries [default: 20; all with --json]')
            [CompletionResult]::new('--max', '--max', [CompletionResultType]::ParameterName, 'Show at most N entries [default: 20; all with --json]')
            [CompletionResult]::new('--max-lag', '--max-lag', [CompletionResultType]::ParameterName, 'Allow at most N entries not yet delivered')
            [CompletionResult]::new('--max-pending', '--max-pending', [CompletionResultType]::ParameterName, 'Allow at most N entries pending')
            [CompletionResult]::new('--max-idle', '--max-idle', [CompletionResultType]::ParameterName, 'Allow no pending entry idle for longer')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Authenticate as this ACL user')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]')
            [CompletionResult]::new('--sentinel-password-file', '--sentinel-password-file', [CompletionResultType]::ParameterName, 'Read the password of the sentinels from the first line of FILE')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificate authorities to trust (PEM) instead of the system''s')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for one connection attempt')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Keep trying to make the first connection for DURATION, as for a server that is just starting')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour what is printed')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one line of JSON')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Use a private server of your own, started when it is needed: the same as -u local:')
            [CompletionResult]::new('--askpass', '--askpass', [CompletionResultType]::ParameterName, 'Ask for the password at the terminal, without showing it')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not check the server''s certificate')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'redis-streamer;local' {
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Authenticate as this ACL user')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]')
            [CompletionResult]::new('--sentinel-password-file', '--sentinel-password-file', [CompletionResultType]::ParameterName, 'Read the password of the sentinels from the first line of FILE')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificate authorities to trust (PEM) instead of the system''s')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for one connection attempt')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Keep trying to make the first connection for DURATION, as for a server that is just starting')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour what is printed')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print the status as one line of JSON')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Use a private server of your own, started when it is needed: the same as -u local:')
            [CompletionResult]::new('--askpass', '--askpass', [CompletionResultType]::ParameterName, 'Ask for the password at the terminal, without showing it')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not check the server''s certificate')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'redis-streamer;completions' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Write the scripts for all shells into DIR')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Authenticate as this ACL user')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]')
            [CompletionResult]::new('--sentinel-password-file', '--sentinel-password-file', [CompletionResultType]::ParameterName, 'Read the password of the sentinels from the first line of FILE')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificate authorities to trust (PEM) instead of the system''s')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for one connection attempt')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Keep trying to make the first connection for DURATION, as for a server that is just starting')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour what is printed')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Use a private server of your own, started when it is needed: the same as -u local:')
            [CompletionResult]::new('--askpass', '--askpass', [CompletionResultType]::ParameterName, 'Ask for the password at the terminal, without showing it')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not check the server''s certificate')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'redis-streamer;man' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Write all pages into DIR')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The server, or local: [default: $REDIS_STREAMER_URL]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Authenticate as this ACL user')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'Read the password from the first line of FILE [default: $REDISCLI_AUTH]')
            [CompletionResult]::new('--sentinel-password-file', '--sentinel-password-file', [CompletionResultType]::ParameterName, 'Read the password of the sentinels from the first line of FILE')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificate authorities to trust (PEM) instead of the system''s')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for one connection attempt')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Keep trying to make the first connection for DURATION, as for a server that is just starting')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour what is printed')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--local', '--local', [CompletionResultType]::ParameterName, 'Use a private server of your own, started when it is needed: the same as -u local:')
            [CompletionResult]::new('--askpass', '--askpass', [CompletionResultType]::ParameterName, 'Ask for the password at the terminal, without showing it')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not check the server''s certificate')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only warnings and errors on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print on stderr what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'redis-streamer;help' {
            [CompletionResult]::new('send', 'send', [CompletionResultType]::ParameterValue, 'Send one message to a stream, and print its ID')
            [CompletionResult]::new('send-batch', 'send-batch', [CompletionResultType]::ParameterValue, 'Send many messages, from files or a pipe')
            [CompletionResult]::new('subscribe', 'subscribe', [CompletionResultType]::ParameterValue, 'Create a consumer group, and its stream, if it does not exist')
            [CompletionResult]::new('unsubscribe', 'unsubscribe', [CompletionResultType]::ParameterValue, 'Remove a consumer group, or a consumer of it')
            [CompletionResult]::new('consume', 'consume', [CompletionResultType]::ParameterValue, 'Print the messages of streams, or run a command for each')
            [CompletionResult]::new('ack', 'ack', [CompletionResultType]::ParameterValue, 'Acknowledge messages, and print how many were pending')
            [CompletionResult]::new('pending', 'pending', [CompletionResultType]::ParameterValue, 'Show what is pending, and how far behind groups are')
            [CompletionResult]::new('local', 'local', [CompletionResultType]::ParameterValue, 'Start or stop the private server of --local, or show whether it is at work')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print a manual page, in troff')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'redis-streamer;help;send' {
            break
        }
        'redis-streamer;help;send-batch' {
            break
        }
        'redis-streamer;help;subscribe' {
            break
        }
        'redis-streamer;help;unsubscribe' {
            break
        }
        'redis-streamer;help;consume' {
            break
        }
        'redis-streamer;help;ack' {
            break
        }
        'redis-streamer;help;pending' {
            break
        }
        'redis-streamer;help;local' {
            break
        }
        'redis-streamer;help;completions' {
            break
        }
        'redis-streamer;help;man' {
            break
        }
        'redis-streamer;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
