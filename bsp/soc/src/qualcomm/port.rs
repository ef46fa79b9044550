//! The log channel: whichever UART the SoC has.

use crate::description::{Uart, UartKind};
use crate::qualcomm::Bus;
use leasehold_drivers::geni::QupVersion;
use leasehold_drivers::mmio::{Io, Mmio};
use leasehold_drivers::serial::geni::GeniUart;
use leasehold_drivers::serial::uartdm::Uartdm;
use leasehold_hal::{Console, ConsoleError};

/// A debug port.
#[derive(Debug)]
pub enum Port<I = Mmio> {
    /// A GENI serial engine.
    Geni(GeniUart<I>),
    /// UARTDM.
    Uartdm(Uartdm<I>),
}

impl<I: Io + Send + Sync> Port<I> {
    /// Brings up the port that `uart` describes, on the clock that it assumes.
    ///
    /// # Errors
    /// [`ConsoleError`]; what is wrong with the port as firmware has left it.
    pub fn init(bus: &impl Bus<Io = I>, uart: &Uart) -> Result<Self, ConsoleError> {
        let registers = bus.registers(uart.block.first());
        match uart.kind {
            UartKind::Geni { wrapper } => {
                let version = QupVersion::read(&bus.registers(wrapper));
                let mut port = GeniUart::over(registers, version);
                port.init(uart.clocking)?;
                Ok(Self::Geni(port))
            }
            UartKind::Uartdm => {
                let mut port = Uartdm::over(registers);
                port.init(uart.clocking)?;
                Ok(Self::Uartdm(port))
            }
        }
    }
}

impl<I: Io + Send> Console for Port<I> {
    fn write_some(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Geni(port) => port.write_some(bytes),
            Self::Uartdm(port) => port.write_some(bytes),
        }
    }
}
