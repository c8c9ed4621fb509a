;; text_stats: {"text": string} -> {"bytes", "characters", "words", "lines"}
;;
;; bytes       length of the text in UTF-8
;; characters  Unicode scalar values
;; words       runs of characters between ASCII blanks
;; lines       line feeds, plus one for a last line without one
;;
;; The input is an object with one string member named "text", which the schema in
;; manifest.toml makes sure of; anything else is answered with {"error": ...}.
(module
  (import "pagi" "register_tool"
    (func $register_tool (param i32 i32 i32 i32 i32 i32)))

  (memory (export "memory") 1)

  ;; Constant text. The result is written at 1024, buffers start at 2048.
  (data (i32.const 16) "text_stats")                      ;; 10 bytes
  (data (i32.const 32) "Counts bytes, characters, words and lines of a text") ;; 51 bytes
  (data (i32.const 128) "{\"text\":\"")                   ;; 9 bytes
  (data (i32.const 144) "{\"bytes\":")                    ;; 9 bytes
  (data (i32.const 160) ",\"characters\":")               ;; 14 bytes
  (data (i32.const 176) ",\"words\":")                    ;; 9 bytes
  (data (i32.const 192) ",\"lines\":")                    ;; 9 bytes
  (data (i32.const 208) "{\"error\":\"expected an object with one string named text\"}") ;; 57 bytes

  (global $next (mut i32) (i32.const 2048)) ;; first free byte
  (global $pos (mut i32) (i32.const 0))     ;; next byte of the input to read
  (global $end (mut i32) (i32.const 0))     ;; end of the input
  (global $out (mut i32) (i32.const 1024))  ;; next byte of the result to write

  ;; Hands out memory from the top; every call starts with a fresh instance.
  (func $alloc (export "alloc") (param $len i32) (result i32)
    (local $ptr i32)
    (local.set $ptr (global.get $next))
    (global.set $next (i32.add (local.get $ptr) (local.get $len)))
    (block $enough
      (loop $grow
        (br_if $enough
          (i64.le_u (i64.extend_i32_u (global.get $next))
                    (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16))))
        (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
        unreachable))
    (local.get $ptr))

  (func (export "dealloc") (param i32 i32))

  (func (export "init")
    (call $register_tool
      (i32.const 16) (i32.const 10)
      (i32.const 32) (i32.const 51)
      (i32.const 16) (i32.const 10)))

  ;; Next byte of the input, 0 behind its end.
  (func $byte (result i32)
    (if (i32.ge_u (global.get $pos) (global.get $end))
      (then (return (i32.const 0))))
    (i32.load8_u (global.get $pos))
    (global.set $pos (i32.add (global.get $pos) (i32.const 1))))

  ;; Blanks between the parts of JSON.
  (func $skip_blanks
    (local $c i32)
    (loop $again
      (if (i32.lt_u (global.get $pos) (global.get $end))
        (then
          (local.set $c (i32.load8_u (global.get $pos)))
          (if (i32.and (i32.le_u (local.get $c) (i32.const 32))
                       (i32.ne (local.get $c) (i32.const 0)))
            (then
              (global.set $pos (i32.add (global.get $pos) (i32.const 1)))
              (br $again)))))))

  ;; Moves to the first byte of the text; 0 if the input does not begin {"text":"
  (func $open (result i32)
    (local $i i32) (local $want i32)
    (loop $again
      (local.set $want (i32.load8_u offset=128 (local.get $i)))
      ;; blanks may stand before { : and the two opening quotes
      (if (i32.or (i32.lt_u (local.get $i) (i32.const 2))
                  (i32.ge_u (local.get $i) (i32.const 7)))
        (then (call $skip_blanks)))
      (if (i32.ne (call $byte) (local.get $want))
        (then (return (i32.const 0))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 9))))
    (i32.const 1))

  ;; The code of a \uXXXX escape, behind the u.
  (func $hex4 (result i32)
    (local $i i32) (local $c i32) (local $code i32)
    (loop $again
      (local.set $c (call $byte))
      (local.set $code
        (i32.or
          (i32.shl (local.get $code) (i32.const 4))
          ;; digits are 0x30 and up; letters in either case have bit 6 and start at x1 for ten
          (i32.add
            (i32.and (local.get $c) (i32.const 15))
            (i32.mul (i32.shr_u (i32.and (local.get $c) (i32.const 64)) (i32.const 6))
                     (i32.const 9)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 4))))
    (local.get $code))

  (func $is_blank (param $c i32) (result i32)
    (i32.or
      (i32.eq (local.get $c) (i32.const 32))
      (i32.and (i32.ge_u (local.get $c) (i32.const 9))
               (i32.le_u (local.get $c) (i32.const 13)))))

  (func $write (param $src i32) (param $len i32)
    (memory.copy (global.get $out) (local.get $src) (local.get $len))
    (global.set $out (i32.add (global.get $out) (local.get $len))))

  (func $write_number (param $n i32)
    (if (i32.ge_u (local.get $n) (i32.const 10))
      (then (call $write_number (i32.div_u (local.get $n) (i32.const 10)))))
    (i32.store8 (global.get $out)
      (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
    (global.set $out (i32.add (global.get $out) (i32.const 1))))

  (func $pack (param $ptr i32) (param $len i32) (result i64)
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
      (i64.extend_i32_u (local.get $len))))

  (func (export "text_stats") (param $ptr i32) (param $len i32) (result i64)
    (local $c i32)       ;; byte of the text, or code of an escape
    (local $size i32)    ;; bytes it stands for
    (local $follows i32) ;; 1 if it only continues a character
    (local $bytes i32) (local $characters i32) (local $words i32) (local $lines i32)
    (local $in_word i32) (local $last i32)

    (global.set $pos (local.get $ptr))
    (global.set $end (i32.add (local.get $ptr) (local.get $len)))
    (if (i32.eqz (call $open))
      (then (return (call $pack (i32.const 208) (i32.const 57)))))

    (block $done
      (loop $next
        ;; raw control bytes cannot stand in a JSON string, so 0 means the input broke off
        (local.set $c (call $byte))
        (br_if $done (i32.eq (local.get $c) (i32.const 34)))
        (if (i32.eqz (local.get $c))
          (then (return (call $pack (i32.const 208) (i32.const 57)))))
        (local.set $size (i32.const 1))
        (local.set $follows
          (i32.eq (i32.and (local.get $c) (i32.const 0xc0)) (i32.const 0x80)))

        (if (i32.eq (local.get $c) (i32.const 92)) ;; backslash
          (then
            (local.set $c (call $byte))
            (if (i32.eq (local.get $c) (i32.const 110)) (then (local.set $c (i32.const 10)))
            (else (if (i32.eq (local.get $c) (i32.const 114)) (then (local.set $c (i32.const 13)))
            (else (if (i32.eq (local.get $c) (i32.const 116)) (then (local.set $c (i32.const 9)))
            (else (if (i32.eq (local.get $c) (i32.const 102)) (then (local.set $c (i32.const 12)))
            (else (if (i32.eq (local.get $c) (i32.const 98)) (then (local.set $c (i32.const 8)))
            (else (if (i32.eq (local.get $c) (i32.const 117))
              (then
                (local.set $c (call $hex4))
                ;; two surrogates share the four bytes of one character
                (local.set $follows
                  (i32.eq (i32.and (local.get $c) (i32.const 0xfc00)) (i32.const 0xdc00)))
                (if (i32.ge_u (local.get $c) (i32.const 0x80))
                  (then (local.set $size (i32.const 2))))
                (if (i32.and
                      (i32.ge_u (local.get $c) (i32.const 0x800))
                      (i32.ne (i32.and (local.get $c) (i32.const 0xf800)) (i32.const 0xd800)))
                  (then (local.set $size (i32.const 3))))))))))))))))))

        (local.set $bytes (i32.add (local.get $bytes) (local.get $size)))
        (local.set $characters
          (i32.add (local.get $characters) (i32.eqz (local.get $follows))))
        (local.set $lines
          (i32.add (local.get $lines) (i32.eq (local.get $c) (i32.const 10))))
        (if (call $is_blank (local.get $c))
          (then (local.set $in_word (i32.const 0)))
          (else
            (local.set $words (i32.add (local.get $words) (i32.eqz (local.get $in_word))))
            (local.set $in_word (i32.const 1))))
        (local.set $last (local.get $c))
        (br $next)))

    (if (i32.and (i32.ne (local.get $bytes) (i32.const 0))
                 (i32.ne (local.get $last) (i32.const 10)))
      (then (local.set $lines (i32.add (local.get $lines) (i32.const 1)))))

    (call $write (i32.const 144) (i32.const 9))
    (call $write_number (local.get $bytes))
    (call $write (i32.const 160) (i32.const 14))
    (call $write_number (local.get $characters))
    (call $write (i32.const 176) (i32.const 9))
    (call $write_number (local.get $words))
    (call $write (i32.const 192) (i32.const 9))
    (call $write_number (local.get $lines))
    (i32.store8 (global.get $out) (i32.const 125)) ;; }
    (global.set $out (i32.add (global.get $out) (i32.const 1)))
    (call $pack (i32.const 1024) (i32.sub (global.get $out) (i32.const 1024))))
)
