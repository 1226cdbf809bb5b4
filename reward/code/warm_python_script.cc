#include "reward/code/scripts.h"

namespace temper {

namespace {

// Only modules that are part of every Python are used, and those of its core that cost little.
constexpr std::string_view kWarmPythonScript = R"python(
def serve():
    """Forks a child for each request; returns in a child, sealed, its program's name and text."""
    import sys
    before = set(sys.modules)
    import _ctypes
    import _socket
    import gc
    import posix
    import select
    from _signal import SIGINT, SIGKILL, signal

    NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID = 1 << 17, 1 << 26, 1 << 27, 1 << 28, 1 << 29
    SET_DUMPABLE, SET_SECCOMP, SET_NO_NEW_PRIVS = 4, 22, 38
    NOSUID, NODEV, DETACH = 2, 4, 2
    CHANNEL, PROC, OWN_PID, FIRST_FREE = 40, 41, 42, 10

    class Int(_ctypes._SimpleCData):
        _type_ = 'i'

    class Word(_ctypes._SimpleCData):
        _type_ = 'l'

    class Short(_ctypes._SimpleCData):
        _type_ = 'H'

    class Bytes(_ctypes._SimpleCData):
        _type_ = 'z'

    class Filter(_ctypes.Structure):
        _fields_ = [('length', Short), ('instructions', Bytes)]

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
        _restype_ = Int

    library = _ctypes.dlopen(None, 2)
    functions = {name: Function(_ctypes.dlsym(library, name))
                 for name in ('unshare', 'setns', 'mount', 'umount2', 'sethostname', 'setrlimit',
                              'capset', 'prctl')}

    def call(name, *arguments):
        values = [Word(x) if type(x) is int else x for x in arguments]
        if functions[name](*values) != 0:
            raise OSError(_ctypes.get_errno(), name)

    def write(path, text, flags, folder=None):
        file = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC | flags, 0o644, dir_fd=folder)
        while text:
            text = text[posix.write(file, text):]
        posix.close(file)

    def seal(has_group, options, passed):
        if has_group:
            posix.write(passed.pop(0), b'0')
        call('unshare', NEWUSER | NEWNS | NEWIPC | NEWUTS)
        # What a change of rights makes undumpable belongs to root, these files too.
        call('prctl', SET_DUMPABLE, 1, 0, 0, 0)
        write('self/setgroups', b'deny', 0, PROC)
        write('self/uid_map', b'65534 0 1', 0, PROC)
        write('self/gid_map', b'65534 0 1', 0, PROC)
        call('prctl', SET_DUMPABLE, 0, 0, 0, 0)
        call('mount', b'tmpfs', b'/tmp', b'tmpfs', NOSUID | NODEV, options)
        posix.chdir('/tmp')
        call('sethostname', b'sandbox', 7)
        posix.setsid()

    def read(file, at, size):
        text = b''
        while len(text) < size:
            text += posix.pread(file, size - len(text), at + len(text))
        return text

    def fill(names, file):
        """Writes the program's files; returns the first one's name and text."""
        program, at = None, 0
        for line in names:
            name, size = line.split(' ')
            text = read(file, at, int(size))
            at += len(text)
            write(name, text, posix.O_CREAT | posix.O_EXCL)
            program = program or (name, text)
        return program

    def confine(count, limits, passed):
        for what, value in zip(limits[::2], limits[1::2]):
            call('setrlimit', what, value.to_bytes(8, sys.byteorder) * 2)
        call('capset', (0x20080522).to_bytes(4, sys.byteorder) + bytes(4), bytes(24))
        call('prctl', SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        for number in range(count):
            posix.dup2(passed[number], number)
        call('prctl', SET_SECCOMP, 2, _ctypes.byref(Filter(len(filter) // 8, filter)), 0, 0)

    def own_script(request, passed):
        """The code of the judge's own script, where it is that: no child has to compile it."""
        numbers, _, first, *_ = request.decode().split('\n')
        name, size = first.split(' ')
        if name != 'candidate.py':
            return None  # an answer's own is none of this process's business
        text = read(passed[int(numbers[0])], 0, int(size))
        if text not in scripts:
            scripts.clear()
            scripts[text] = compile(text, '/tmp/' + name, 'exec', 0, True)
        return scripts[text]

    def child(request, passed, code):
        numbers, options, *names = request.decode().split('\n')
        has_group, count, *limits = map(int, numbers.split(' '))
        seal(has_group, options.encode(), passed)
        program = fill(names, passed.pop(0))
        confine(count, limits, passed)
        posix.write(CHANNEL, b'S')
        channel.detach()
        posix.closerange(count, 64)  # the limit on files is 64
        for name in set(sys.modules) - before:
            del sys.modules[name]
        return program + (code,)

    def serve_one():
        request, ancillary, _, _ = channel.recvmsg(1 << 14, _socket.CMSG_SPACE(64))
        if not request:
            posix._exit(0)  # the judge is gone
        data = b''.join([x[2] for x in ancillary])
        passed = [int.from_bytes(data[i:i + 4], sys.byteorder) for i in range(0, len(data), 4)]
        code = own_script(request, passed)
        call('setns', OWN_PID, NEWPID)
        call('unshare', NEWPID)
        init = posix.fork()  # a signal that the first process sends itself would be kept from it
        if init == 0:
            posix.closerange(0, 64)
            signal(SIGINT, 0)
            while True:
                select.poll().poll()
        pid = posix.fork()
        if pid == 0:
            try:
                return child(request, passed, code)
            except BaseException as error:
                posix.write(CHANNEL, ('F%s' % error).encode('utf-8', 'replace')[:300])
                posix._exit(127)
        handle = posix.pidfd_open(pid)
        channel.sendmsg([b'P'], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS,
                                  handle.to_bytes(4, sys.byteorder))])
        for number in passed:
            posix.close(number)
        poll = select.poll()
        poll.register(CHANNEL, select.POLLIN)
        poll.register(handle, select.POLLIN)
        if handle not in dict(poll.poll()):
            posix._exit(0)  # the judge is gone; the kernel ends the child
        _, status, usage = posix.wait4(pid, 0)
        posix.close(handle)
        posix.kill(init, SIGKILL)  # with all that is left in the namespace
        posix.wait4(init, 0)
        channel.send(b'E %d %d %d' % (status, (usage[0] + usage[1]) * 1e6, usage[2]))

    scripts = {}
    with open('filter', 'rb') as file:
        filter = file.read()
    posix.chdir('/')
    call('umount2', b'/tmp', DETACH)
    posix.dup2(3, CHANNEL)
    posix.dup2(4, PROC)
    posix.dup2(posix.open('self/ns/pid', posix.O_RDONLY, dir_fd=PROC), OWN_PID)
    for number in range(3, FIRST_FREE):  # so that what is passed gets numbers from there
        posix.dup2(0, number)
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, CHANNEL)
    call('prctl', SET_DUMPABLE, 0, 0, 0, 0)
    gc.collect()
    while True:
        program = serve_one()
        if program:
            return program


def program():
    """In a child: the code to run, in a main module as if it had been started with it."""
    import sys
    name, text, code = serve()
    space = sys.modules['__main__'].__dict__
    del space['serve'], space['program']
    path = '/tmp/' + name
    space['__file__'] = space['__loader__'].path = path
    sys.argv[:] = [name]
    sys.orig_argv[-1] = name
    return code or compile(text, path, 'exec', 0, True)


exec(program())
)python";

}  // namespace

std::string_view warm_python_script() {
  return kWarmPythonScript;
}

}  // namespace temper
