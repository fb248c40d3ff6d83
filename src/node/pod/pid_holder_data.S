    .section .rodata
    .global gantry_pid_holder_begin
    .global gantry_pid_holder_end
gantry_pid_holder_begin:
    .incbin GANTRY_PID_HOLDER
gantry_pid_holder_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
