# Completions of redis-streamer for elvish. The program itself says what fits where the cursor is.

use str

set edit:completion:arg-completer[redis-streamer] = {|@words|
    var answer = [(try { e:redis-streamer complete elvish -- $@words 2>/dev/null | from-lines } catch _ { })]
    if (== (count $answer) 0) {
        return
    }
    var how = $answer[0]
    if (==s $how words) {
        all $answer[1..]
    } elif (or (str:has-prefix $how 'files ') (str:has-prefix $how 'directories ')) {
        var prefix = (str:trim-prefix (str:trim-prefix $how 'files ') 'directories ')
        edit:complete-filename (str:trim-prefix $words[-1] $prefix) | each {|file|
            edit:complex-candidate $prefix''$file[stem] &code-suffix=$file[code-suffix] &display=$file[display]
        }
    } else {
        # The command that handles messages, completed as one that is typed by itself.
        var first = (- (count $words) (str:trim-prefix $how 'command '))
        edit:complete-sudo sudo (all $words[$first..])
    }
}
